// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest could swallow. One that maps its shadow's linear address to a table of its own, for as long as a run lasts, takes the
 * host's interrupts with its own handlers. Two kinds are never missed for long by those that wait for them:
 *  - The local timer's, without which the CPU's timers stand still. It was armed or pending when the run began, is neither when it
 *    ends, and no interrupt came: then it is missing. Under emulation it only comes late, so it is given time. A guest that
 *    swallowed it never gets direct mode again. If it went between two runs, the host may have stopped it as well: then it is only
 *    sent again, and one too many finds nothing to do.
 *  - IPIs: they are sent again from time to time, and one too many finds nothing to do.
 * Both are left with the CPU and not with the vCPU, which may be gone to another CPU or ended before it shows.
 */
#include <asm/hardirq.h>
#include <asm/irq_vectors.h>
#include <linux/timekeeping.h>
#include "eli_svm.h"

#define REPLAY_NS	(100 * NSEC_PER_MSEC)
#define MISSING_NS	(200 * NSEC_PER_MSEC)

static const u8 ipis[] = { RESCHEDULE_VECTOR, CALL_FUNCTION_VECTOR, CALL_FUNCTION_SINGLE_VECTOR };

/*
 * Notes whether the local timer is on: armed, or its interrupt pending. While it is not, expects says that it was, and that its
 * interrupt has not been counted since.
 */
static bool note_timer(struct eli_cpu *cpu)
{
	unsigned int count = this_cpu_read(irq_stat.apic_timer_irqs);
	bool on = eli_apic_timer_armed() || eli_apic_timer_pending();

	if (on) {
		cpu->expects = true;
		cpu->expected = count;
	} else if (count != cpu->expected) {
		cpu->expects = false;
	}
	return on;
}

static void clear_suspicion(struct eli_cpu *cpu)
{
	raw_spin_lock(&cpu->lock);
	cpu->suspect = NULL;
	raw_spin_unlock(&cpu->lock);
}

/* A timer that is on is not missing. With interrupts off. */
void eli_check_suspicion(void)
{
	struct eli_cpu *cpu = this_cpu_ptr(&eli_cpus);

	if (note_timer(cpu) && READ_ONCE(cpu->suspect))
		clear_suspicion(cpu);
}

/* Before each run in direct mode: is there a timer that could be swallowed in it? */
bool eli_timer_at_stake(void)
{
	return note_timer(this_cpu_ptr(&eli_cpus));
}

/* After each run in direct mode, with interrupts off: was there a timer when it began, and has its interrupt come? */
void eli_after_run(struct kvm_vcpu *vcpu, bool at_stake, bool came)
{
	struct eli_cpu *cpu = this_cpu_ptr(&eli_cpus);
	u64 now = ktime_get_mono_fast_ns();
	bool on = note_timer(cpu);
	int i;

	if (READ_ONCE(cpu->suspect)) {
		if (on)
			clear_suspicion(cpu);
	} else if (!on && cpu->expects && !came) {
		raw_spin_lock(&cpu->lock);
		cpu->suspect = vcpu;
		cpu->certain = at_stake;
		cpu->judged = false;
		cpu->since = now;
		cpu->count = this_cpu_read(irq_stat.apic_timer_irqs);
		raw_spin_unlock(&cpu->lock);
	}
	if (now - cpu->replayed < REPLAY_NS) {
		WRITE_ONCE(cpu->owes, true);
		return;
	}
	WRITE_ONCE(cpu->owes, false);
	WRITE_ONCE(cpu->replayed, now);
	for (i = 0; i < ARRAY_SIZE(ipis); i++)
		eli_apic_send_self(ipis[i]);
}

static void quarantine(struct kvm_vcpu *vcpu)
{
	struct eli_vm *vm = to_kvm_svm(vcpu->kvm)->eli;

	if (vm)
		WRITE_ONCE(vm->quarantined, true);
	vcpu->stat.eli_swallowed++;
	vcpu->stat.eli_fallbacks++;
}

/* From the watchdog, for another CPU. */
void eli_look_for_swallowed(int number)
{
	struct eli_cpu *cpu = per_cpu_ptr(&eli_cpus, number);
	u64 now = ktime_get_mono_fast_ns();
	int i;

	raw_spin_lock(&cpu->lock);
	if (cpu->suspect) {
		if (per_cpu(irq_stat.apic_timer_irqs, number) != cpu->count) {
			cpu->suspect = NULL;
		} else if (now - cpu->since > MISSING_NS) {
			/* The run that goes on may swallow this one too: it is sent until one is counted. */
			if (cpu->certain && !cpu->judged)
				quarantine(cpu->suspect);
			cpu->judged = true;
			eli_apic_send(number, LOCAL_TIMER_VECTOR);
		}
	}
	raw_spin_unlock(&cpu->lock);
	if (READ_ONCE(cpu->direct) || !READ_ONCE(cpu->owes) || now - READ_ONCE(cpu->replayed) < REPLAY_NS)
		return;
	WRITE_ONCE(cpu->owes, false);
	for (i = 0; i < ARRAY_SIZE(ipis); i++)
		eli_apic_send(number, ipis[i]);
}

/* A vCPU ends: what it may have swallowed comes now. */
void eli_forget_suspect(struct kvm_vcpu *vcpu)
{
	unsigned long flags;
	int number;

	for_each_possible_cpu(number) {
		struct eli_cpu *cpu = per_cpu_ptr(&eli_cpus, number);

		raw_spin_lock_irqsave(&cpu->lock, flags);
		if (cpu->suspect == vcpu) {
			cpu->suspect = NULL;
			if (cpu_online(number))
				eli_apic_send(number, LOCAL_TIMER_VECTOR);
		}
		raw_spin_unlock_irqrestore(&cpu->lock, flags);
	}
}
