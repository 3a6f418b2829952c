/* SPDX-License-Identifier: GPL-2.0 */
/* ELI's part of kvm-amd.ko. See eli.h for the mechanism and its words. */
#ifndef __KVM_X86_ELI_SVM_H
#define __KVM_X86_ELI_SVM_H

#include <linux/hrtimer.h>
#include <linux/workqueue.h>
#include "eli.h"
#include "svm.h"

#define ELI_MAX_DIRECT	64	/* direct vectors of one vCPU */
#define ELI_ISA_END	0x100000ull
#define ELI_X2APIC_MSR(reg)	(APIC_BASE_MSR + ((reg) >> 4))

/* An interrupt of an assigned device that KVM routes to one vCPU. */
struct eli_route {
	struct list_head link;		/* eli_vm.routes, under eli_vm.lock */
	unsigned int host_irq;
	u32 gsi;
	struct kvm_vcpu *vcpu;		/* whose interrupt it is; NULL: of several vCPUs, or not a fixed one */
	u8 guest_vector;
};

struct eli_vm {
	struct kvm *kvm;
	struct list_head link;		/* eli_vms */
	raw_spinlock_t lock;		/* routes, generation */
	struct list_head routes;
	u32 generation;			/* a shadow made under another one is out of date */
	u64 flags;
	gpa_t gpa;			/* of the first vCPU's shadow */
	u64 pages;
	struct page **page;		/* pinned */
	gva_t isa;			/* where the guest maps guest-physical 0; 0: not found yet */
	unsigned long searched;		/* jiffies of the last search */
	bool quarantined;
	struct work_struct steer;
	struct kvm_page_track_notifier_node track;
	struct mutex track_lock;
	gfn_t tracked;			/* the guest's IDT, write-tracked; 0: none */
};

/* One present device gate of a shadow. */
struct eli_gate {
	unsigned int host_irq;
	u8 host_vector;
	u8 guest_vector;
};

struct eli_vcpu {
	/* Made by eli_prepare(). */
	enum eli_reason reason;		/* ELI_DIRECT: the shadow is good */
	bool made;
	u32 generation;
	int cpu;			/* whose vectors the shadow has */
	gva_t shadow;
	struct desc_ptr idt;		/* the guest's, as the shadow has it */
	gpa_t idt_gpa;
	unsigned long cr3;		/* that was found not to isolate */
	int gates;
	struct eli_gate gate[ELI_MAX_DIRECT];
	DECLARE_BITMAP(present, 256);
	DECLARE_BITMAP(resend, 256);	/* host vectors to raise again at the next entry */
	gate_desc copy[256];		/* of the guest's IDT */
	bool stale;			/* the guest may have written its IDT */

	/* One run. */
	bool direct;
	bool was_direct;		/* the processor may have cached what direct mode put into the VMCB */
	bool once;			/* the next entry takes the guest's own IDT: it executes INT n */
	u64 entered;			/* sched_clock() */
	u32 intercepts[MAX_INTERCEPT];
	u32 int_ctl;
	struct vmcb_seg idtr;

	/* What the guest did to the host. */
	unsigned long penalty_until;	/* jiffies */
	unsigned long penalty;
	u64 debt;			/* ns that the host's interrupts waited, less what is forgiven */
	u64 charged;			/* ktime_get_mono_fast_ns() */
	bool timer_at_stake;		/* when the run began */
};

/* One of each CPU: what the watchdog looks at. */
struct eli_cpu {
	bool direct;
	bool nmi;			/* sent, and not taken yet */
	u64 runs;
	u64 seen;

	/* What a guest may have swallowed. Times are ktime_get_mono_fast_ns(). */
	bool expects;			/* the timer was on, and has not come since, by the CPU's own count */
	unsigned int expected;		/* that count then */
	raw_spinlock_t lock;		/* suspect, certain, judged, since, count */
	struct kvm_vcpu *suspect;	/* in whose run the local timer ran down, and did not come */
	bool certain;			/* it was on when that run began */
	bool judged;
	u64 since;
	unsigned int count;		/* timer interrupts of this CPU then */
	bool owes;			/* IPIs have not been sent again since the last run */
	u64 replayed;
};
DECLARE_PER_CPU(struct eli_cpu, eli_cpus);
extern int eli_watchdog_cpu;

/* eli_vm.c */
int eli_init(void);
void eli_exit(void);
int eli_vcpu_create(struct vcpu_svm *svm);
void eli_vcpu_free(struct vcpu_svm *svm);
void eli_vm_destroy(struct kvm *kvm);
void eli_kick_all(struct eli_vm *vm);

/* eli_routes.c */
bool eli_update_route(struct kvm *kvm, unsigned int host_irq, u32 gsi, bool set);
int eli_collect_gates(struct eli_vm *vm, struct kvm_vcpu *vcpu, int cpu, struct eli_gate *gates);
void eli_take_back(struct kvm_vcpu *vcpu, struct eli_vcpu *eli);
void eli_give_back(struct kvm_vcpu *vcpu, struct eli_vcpu *eli);
bool eli_gates_hold(struct eli_vm *vm, struct eli_vcpu *eli);
void eli_steer(struct work_struct *work);

/* eli_shadow.c */
void eli_prepare(struct kvm_vcpu *vcpu);

/* eli_mode.c */
bool eli_emulates(struct kvm_vcpu *vcpu, struct vcpu_svm *svm);
void eli_enter(struct vcpu_svm *svm, bool force_immediate_exit);
void eli_leave(struct vcpu_svm *svm);
int eli_not_present(struct kvm_vcpu *vcpu);
int eli_descriptor_table(struct kvm_vcpu *vcpu);
void eli_charge(struct kvm_vcpu *vcpu, struct eli_vcpu *eli, u64 ns);

/* eli_swallow.c */
bool eli_timer_at_stake(void);
void eli_after_run(struct kvm_vcpu *vcpu, bool at_stake, bool came);
void eli_check_suspicion(void);
void eli_look_for_swallowed(int number);
void eli_forget_suspect(struct kvm_vcpu *vcpu);

/* eli_apic.c: the physical local APIC, in x2APIC mode. */
bool eli_apic_in_service(u8 vector);
int eli_apic_highest_in_service(void);
bool eli_apic_requested_but(const unsigned long *own);
void eli_apic_end(void);
void eli_apic_send_self(u8 vector);
bool eli_apic_timer_armed(void);
bool eli_apic_timer_pending(void);
void eli_apic_send(int cpu, u8 vector);
void eli_apic_send_nmi(int cpu);

/* eli_watchdog.c */
int eli_watchdog_start(void);
void eli_watchdog_stop(void);

#endif
