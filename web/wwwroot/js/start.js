// Starts Blazor. A circuit that is lost is tried again every second and for as long as the page is open: a control plane that comes back finds every tab.
/* global Blazor */
Blazor.start({
  circuit: { reconnectionOptions: { maxRetries: 1_000_000, retryIntervalMilliseconds: attempt => attempt === 0 ? 0 : 1000 } },
});
