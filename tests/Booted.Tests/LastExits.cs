namespace Exitless.Booted.Tests;

/// <summary>
/// What happened in KVM before a guest ended by a triple fault: KVM resets such a vCPU before it tells of it (shutdown_interception in arch/x86/kvm/svm/svm.c), so only a trace says where
/// the guest was. A trace instance of its own that stops itself at that exit (Documentation/trace/events.rst, "traceoff").
/// </summary>
internal static class LastExits
{
    private const string Instance = "/sys/kernel/tracing/instances/last-exits";

    // VMEXIT_SHUTDOWN of SVM (AMD64 Architecture Programmer's Manual, volume 2, appendix C).
    private const int Shutdown = 0x7f;

    private const int Lines = 120;

    public static Task WatchAsync(BootedHost host) => host.RunAsync($"""
        mkdir -p {Instance}; echo 512 >{Instance}/buffer_size_kb
        for event in kvm_exit kvm_entry kvm_page_fault kvm_inj_virq kvm_inj_exception kvm_msr; do [ ! -e {Instance}/events/kvm/$event ] || echo 1 >{Instance}/events/kvm/$event/enable; done
        echo 'traceoff if exit_reason == {Shutdown}' >{Instance}/events/kvm/kvm_exit/trigger
        """);

    public static Task<string> TakeAsync(BootedHost host) => host.RunAsync($"echo 0 >{Instance}/tracing_on; tail -n {Lines} {Instance}/trace");

    public static Task EndAsync(BootedHost host) => host.RunAsync($"echo '!traceoff if exit_reason == {Shutdown}' >{Instance}/events/kvm/kvm_exit/trigger; echo 0 >{Instance}/events/enable; rmdir {Instance}; true");
}
