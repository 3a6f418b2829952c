// SPDX-License-Identifier: GPL-2.0
/*
 * Into direct mode and out of it. Everything that direct mode changes in the VMCB is put there just before VMRUN and
 * taken back just after the exit, so the rest of KVM sees its vCPU as ever.
 *
 * The guest is not trusted. It may keep the host's interrupts waiting, which is charged here, or swallow them: eli_swallow.c.
 */
#include <linux/irq.h>
#include <linux/sched/clock.h>
#include <linux/timekeeping.h>
#include <asm/irq_vectors.h>
#include "lapic.h"
#include "x86.h"
#include "kvm_cache_regs.h"
#include "eli_svm.h"

#define FIRST_PENALTY	(10 * HZ)
#define LONGEST_PENALTY	(640 * HZ)
#define GOOD_AFTER	10			/* times the last penalty, and it begins at the first again */
#define WAIT_NS		(2 * NSEC_PER_MSEC)	/* what a guest may hold interrupts off, uncounted */
#define DEBT_LIMIT_NS	(150 * NSEC_PER_MSEC)
#define FORGIVEN	50			/* one part in so many of the time that passes */

static void pass_eoi(struct vcpu_svm *svm, bool pass)
{
	unsigned int bit = ELI_X2APIC_MSR(APIC_EOI) * 2 + 1;	/* the write's bit: APM volume 2, 15.11 */

	if (pass)
		svm->msrpm[bit / 32] &= ~BIT(bit % 32);
	else
		svm->msrpm[bit / 32] |= BIT(bit % 32);
}

/* Is something of KVM's own on its way into the guest, or in service there? Then interrupts must take KVM's way. */
bool eli_emulates(struct kvm_vcpu *vcpu, struct vcpu_svm *svm)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	return svm->vmcb->control.event_inj & SVM_EVTINJ_VALID || apic->isr_count
		|| (kvm_lapic_get_reg(apic, APIC_TASKPRI) & 0xff) >= FIRST_EXTERNAL_VECTOR
		|| is_guest_mode(vcpu) || is_smm(vcpu) || vcpu->guest_debug || svm->nmi_masked || svm->nmi_singlestep
		|| kvm_vcpu_apicv_active(vcpu);
}

static bool may_enter(struct kvm_vcpu *vcpu, struct vcpu_svm *svm, struct eli_vcpu *eli)
{
	if (eli->reason != ELI_DIRECT)
		return false;
	if (eli->once) {
		eli->once = false;
		return false;
	}
	if (time_before(jiffies, eli->penalty_until)) {
		vcpu->stat.eli_reason = ELI_PENALTY;
		return false;
	}
	return !eli_emulates(vcpu, svm) && eli->cpu == smp_processor_id() && eli->cpu != READ_ONCE(eli_watchdog_cpu)
		&& !READ_ONCE(eli->stale);
}

/*
 * Raises what eli_take_back() took: directly, or, if the entry turned out not to be direct, for the host, which injects it. Where
 * the host's vectors have moved meanwhile, it goes back to the virtual APIC.
 */
static void resend(struct kvm_vcpu *vcpu, struct eli_vcpu *eli, bool hold)
{
	int i;

	if (!hold || eli->cpu != smp_processor_id()) {
		eli_give_back(vcpu, eli);
		/* Ends this entry, which must not be direct. */
		eli_apic_send_self(RESCHEDULE_VECTOR);
		return;
	}
	for (i = 0; i < eli->gates; i++) {
		if (test_bit(eli->gate[i].host_vector, eli->resend))
			eli_apic_send_self(eli->gate[i].host_vector);
	}
	bitmap_zero(eli->resend, 256);
}

/* With interrupts off and GIF clear, the last thing before VMRUN. */
void eli_enter(struct vcpu_svm *svm, bool force_immediate_exit)
{
	struct kvm_vcpu *vcpu = &svm->vcpu;
	struct eli_vm *vm = READ_ONCE(to_kvm_svm(vcpu->kvm)->eli);
	struct eli_vcpu *eli = svm->eli;
	struct vmcb *vmcb = svm->vmcb01.ptr;
	struct vmcb_control_area *control = &vmcb->control;
	struct eli_cpu *cpu;
	bool hold;

	if (!vm || !eli)
		return;
	hold = eli_gates_hold(vm, eli);
	eli->direct = hold && !force_immediate_exit && may_enter(vcpu, svm, eli);
	if (!bitmap_empty(eli->resend, 256))
		resend(vcpu, eli, hold);
	if (eli->direct || eli->was_direct) {
		vmcb_mark_dirty(vmcb, VMCB_INTERCEPTS);
		vmcb_mark_dirty(vmcb, VMCB_PERM_MAP);
		vmcb_mark_dirty(vmcb, VMCB_INTR);
		vmcb_mark_dirty(vmcb, VMCB_DT);
	}
	eli->was_direct = eli->direct;
	if (!eli->direct) {
		vcpu->stat.eli_injection_entries++;
		return;
	}

	memcpy(eli->intercepts, control->intercepts, sizeof(eli->intercepts));
	eli->int_ctl = control->int_ctl;
	eli->idtr = vmcb->save.idtr;
	vmcb_clr_intercept(control, INTERCEPT_INTR);
	/* Without the masking of virtual interrupts the guest's CR8 would be the physical task priority. */
	vmcb_set_intercept(control, INTERCEPT_CR8_READ);
	vmcb_set_intercept(control, INTERCEPT_CR8_WRITE);
	vmcb_set_intercept(control, INTERCEPT_STORE_IDTR);
	vmcb_set_intercept(control, INTERCEPT_LOAD_IDTR);
	vmcb_set_intercept(control, INTERCEPT_EXCEPTION_OFFSET + NP_VECTOR);
	control->int_ctl &= ~V_INTR_MASKING_MASK;
	vmcb->save.idtr.base = eli->shadow;
	vmcb->save.idtr.limit = PAGE_SIZE - 1;
	if (vm->flags & KVM_ELI_COMPLETION)
		pass_eoi(svm, true);

	vcpu->stat.eli_direct_entries++;
	vcpu->stat.eli_reason = ELI_DIRECT;
	eli->timer_at_stake = eli_timer_at_stake();
	eli->entered = local_clock();
	cpu = this_cpu_ptr(&eli_cpus);
	cpu->runs++;
	WRITE_ONCE(cpu->direct, true);
}

/* An interrupt of the host that the guest's CPU acknowledged: it is asked for again, and taken once the host takes any. */
static void hand_over(struct kvm_vcpu *vcpu, u8 vector)
{
	eli_apic_end();
	eli_apic_send_self(vector);
	vcpu->stat.eli_host_interrupts++;
}

/* Completes what is in service: the guest's handlers that have not come to their EOI (it does nothing then), and the host's. */
static void end_in_service(struct kvm_vcpu *vcpu, struct vcpu_svm *svm, struct eli_vcpu *eli)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	u32 event = control->exit_int_info;
	u8 delivered = 0;
	int vector, limit = 256;

	if (control->exit_code == SVM_EXIT_EXCP_BASE + NP_VECTOR && control->exit_info_1 & 2) {
		/* QEMU notes the event as an exception, and does not set EXT; the bit in service tells in any case. */
		delivered = control->exit_info_1 >> 3;
		control->exit_int_info = 0;
		if (!eli_apic_in_service(delivered)) {
			/* INT n of the guest's: it executes it again with its own IDT. The spurious vector comes here too. */
			eli->once = true;
			vcpu->stat.eli_software_np++;
			delivered = 0;
		}
	} else if (event & SVM_EXITINTINFO_VALID && (event & SVM_EXITINTINFO_VEC_MASK) >= FIRST_EXTERNAL_VECTOR) {
		delivered = event & SVM_EXITINTINFO_VEC_MASK;
		if (eli_apic_in_service(delivered))
			control->exit_int_info = 0;
		else
			delivered = 0;
	}
	while (limit-- && (vector = eli_apic_highest_in_service()) >= 0) {
		if (vector == delivered || !test_bit(vector, eli->present) || control->exit_code == SVM_EXIT_SHUTDOWN) {
			hand_over(vcpu, vector);
		} else {
			eli_apic_end();
			vcpu->stat.eli_completed++;
		}
	}
}

/* Did an interrupt of the host wait because the guest would not take any? Before what is in service is completed. */
static bool kept_waiting(struct vcpu_svm *svm, struct eli_vcpu *eli)
{
	int vector;

	if (svm->vmcb->save.rflags & X86_EFLAGS_IF) {
		vector = eli_apic_highest_in_service();
		if (vector < 0 || !test_bit(vector, eli->present))
			return false;
	}
	return eli_apic_requested_but(eli->present);
}

/*
 * Charges a guest for the host's time. A debt is forgiven slowly, so that neither a long wait after the other nor many short
 * ones with exits between them take more than a small share of the host's time.
 */
void eli_charge(struct kvm_vcpu *vcpu, struct eli_vcpu *eli, u64 ns)
{
	u64 now = ktime_get_mono_fast_ns(), forgiven = (now - eli->charged) / FORGIVEN;

	eli->debt = ns + (eli->debt > forgiven ? eli->debt - forgiven : 0);
	eli->charged = now;
	if (eli->debt <= DEBT_LIMIT_NS)
		return;
	eli->debt = 0;
	if (!eli->penalty || time_after(jiffies, eli->penalty_until + GOOD_AFTER * eli->penalty))
		eli->penalty = FIRST_PENALTY;
	else
		eli->penalty = min(eli->penalty * 2, (unsigned long)LONGEST_PENALTY);
	eli->penalty_until = jiffies + eli->penalty;
	vcpu->stat.eli_fallbacks++;
}

/* With GIF clear, right after the exit. */
void eli_leave(struct vcpu_svm *svm)
{
	struct kvm_vcpu *vcpu = &svm->vcpu;
	struct eli_vcpu *eli = svm->eli;
	struct vmcb *vmcb = svm->vmcb01.ptr;
	bool timer_came;
	u64 ran;

	if (!eli)
		return;
	if (!eli->direct) {
		eli_check_suspicion();
		return;
	}
	eli->direct = false;
	ran = local_clock() - eli->entered;
	vcpu->stat.eli_direct_ns += ran;

	memcpy(vmcb->control.intercepts, eli->intercepts, sizeof(eli->intercepts));
	vmcb->control.int_ctl &= ~(V_INTR_MASKING_MASK | V_TPR_MASK);
	vmcb->control.int_ctl |= eli->int_ctl & (V_INTR_MASKING_MASK | V_TPR_MASK);
	vmcb->save.idtr = eli->idtr;
	pass_eoi(svm, false);

	if (vmcb->control.exit_code == SVM_EXIT_NMI && READ_ONCE(this_cpu_ptr(&eli_cpus)->nmi))
		vcpu->stat.eli_watchdog_exits++;
	if (ran > WAIT_NS && kept_waiting(svm, eli))
		eli_charge(vcpu, eli, ran);
	timer_came = eli_apic_timer_pending();
	end_in_service(vcpu, svm, eli);
	eli_after_run(vcpu, eli->timer_at_stake, timer_came);
	WRITE_ONCE(this_cpu_ptr(&eli_cpus)->direct, false);
}

/* Exit handler of #NP: the guest's own, or one that eli_leave() has dealt with. */
int eli_not_present(struct kvm_vcpu *vcpu)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;

	if (!(control->exit_info_1 & 2))
		kvm_queue_exception_e(vcpu, NP_VECTOR, control->exit_info_1);
	return 1;
}

/* Exit handler of LIDT and SIDT: the guest sees its own register, and the next entry its new IDT. */
int eli_descriptor_table(struct kvm_vcpu *vcpu)
{
	return kvm_emulate_instruction(vcpu, 0);
}
