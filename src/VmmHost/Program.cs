using Exitless.Vmm;

// The agent's own file runs a VM by the same words. This one knows of no type that a VM does not need, and what a program knows of its types it writes to its memory at each start.
return await VmmCommandLine.RunAsync(args);
