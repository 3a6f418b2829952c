// Copies text; says whether it could, for a page that is not served over HTTPS has no clipboard.

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
