/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ELI: exit-less interrupts for assigned devices, in software (Gordon et al., ASPLOS 2012), for KVM on AMD SVM.
 *
 * A vCPU that runs in *direct mode* takes the physical interrupts of its own devices through a shadow IDT, whose other
 * vectors of 32 and above are marked not present: an interrupt of the host raises #NP there, exits, and is handed to
 * the host. In *injection mode* it runs as KVM always runs it.
 */
#ifndef __KVM_X86_ELI_H
#define __KVM_X86_ELI_H

#include <linux/kvm_host.h>

/*
 * KVM_CHECK_EXTENSION gives KVM_ELI_API here, 0 where the module or its processor cannot; KVM_ENABLE_CAP on a VM takes
 *   args[0]  KVM_ELI_DELIVERY, KVM_ELI_COMPLETION; 0 suspends direct mode
 *   args[1]  guest-physical address of the shadows, below 1 MiB, a page for each vCPU; fixed by the first call
 *   args[2]  number of these pages
 * The pages must lie in one read-only memory slot. A KVM without this change refuses the number with EINVAL.
 */
#define KVM_CAP_X86_ELI		0x454c4900
#define KVM_ELI_API		1
#define KVM_ELI_DELIVERY	BIT_ULL(0)
#define KVM_ELI_COMPLETION	BIT_ULL(1)

/* Why a vCPU is not in direct mode; vCPU statistic eli_reason. */
enum eli_reason {
	ELI_DIRECT,
	ELI_OFF,		/* nobody asked for it */
	ELI_SUSPENDED,		/* switched off while the VM runs */
	ELI_NO_VECTOR,		/* no device interrupt of this vCPU arrives on its CPU */
	ELI_NOT_LONG_MODE,	/* the guest has not set up 64-bit paging yet */
	ELI_NO_X2APIC,		/* the guest's local APIC is not in x2APIC mode */
	ELI_NO_MAPPING,		/* the guest does not map the shadow's page */
	ELI_PAGE_TABLE_ISOLATION, /* the guest does not map it in user mode */
	ELI_IDT_UNREADABLE,
	ELI_WATCHDOG_CPU,	/* this CPU has to look after the others */
	ELI_PENALTY,		/* the guest kept the host's interrupts waiting */
	ELI_QUARANTINE,		/* the guest swallowed an interrupt of the host */
};

struct eli_ops {
	int (*enable)(struct kvm *kvm, u64 flags, gpa_t gpa, u64 pages);
	void (*prepare)(struct kvm_vcpu *vcpu);
};

#ifdef CONFIG_KVM_ELI_CORE
/* In kvm.ko: set by the vendor module while it can. */
extern struct eli_ops *kvm_eli_ops;

static inline int kvm_eli_check_extension(void)
{
	return READ_ONCE(kvm_eli_ops) ? KVM_ELI_API : 0;
}

static inline int kvm_eli_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	struct eli_ops *ops = READ_ONCE(kvm_eli_ops);

	return ops ? ops->enable(kvm, cap->args[0], cap->args[1], cap->args[2]) : -EINVAL;
}

/* Before each entry, where guest memory may still be read: a shadow that is out of date is made anew. */
static inline void kvm_eli_prepare(struct kvm_vcpu *vcpu)
{
	struct eli_ops *ops = READ_ONCE(kvm_eli_ops);

	if (ops)
		ops->prepare(vcpu);
}
#endif

#endif
