// SPDX-License-Identifier: GPL-2.0
/*
 * A guest in direct mode that holds interrupts off keeps them from the host too, and on SVM only an NMI ends that (VMX has
 * the preemption timer). One CPU of the host, which never runs direct mode itself, looks at the others ten times a
 * second and sends an NMI where a run has lasted since it looked last.
 */
#include <linux/hrtimer.h>
#include <linux/sched/isolation.h>
#include <asm/nmi.h>
#include "eli_svm.h"

#define PERIOD_NS	(100 * NSEC_PER_MSEC)

DEFINE_PER_CPU(struct eli_cpu, eli_cpus);
int eli_watchdog_cpu = -1;
static struct hrtimer timer;
static int users;
static DEFINE_MUTEX(users_lock);

static enum hrtimer_restart look(struct hrtimer *unused)
{
	int cpu, self = smp_processor_id();

	/* Timers of a CPU that goes offline move to another one. */
	WRITE_ONCE(eli_watchdog_cpu, self);
	for_each_online_cpu(cpu) {
		struct eli_cpu *at = per_cpu_ptr(&eli_cpus, cpu);
		u64 runs = READ_ONCE(at->runs);

		if (cpu != self && READ_ONCE(at->direct) && runs == at->seen) {
			WRITE_ONCE(at->nmi, true);
			eli_apic_send_nmi(cpu);
		}
		at->seen = runs;
		if (cpu != self)
			eli_look_for_swallowed(cpu);
	}
	hrtimer_forward_now(&timer, PERIOD_NS);
	return HRTIMER_RESTART;
}

static int take_nmi(unsigned int type, struct pt_regs *regs)
{
	return xchg(&this_cpu_ptr(&eli_cpus)->nmi, false) ? NMI_HANDLED : NMI_DONE;
}

static void start_here(void *unused)
{
	hrtimer_start(&timer, PERIOD_NS, HRTIMER_MODE_REL_PINNED_HARD);
}

int eli_watchdog_start(void)
{
	int cpu = cpumask_first_and(cpu_online_mask, housekeeping_cpumask(HK_TYPE_DOMAIN));
	int error = 0;

	mutex_lock(&users_lock);
	if (!users) {
		error = register_nmi_handler(NMI_LOCAL, take_nmi, 0, "kvm_eli");
		if (!error) {
			hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
			timer.function = look;
			WRITE_ONCE(eli_watchdog_cpu, cpu);
			smp_call_function_single(cpu, start_here, NULL, true);
		}
	}
	if (!error)
		users++;
	mutex_unlock(&users_lock);
	return error;
}

void eli_watchdog_stop(void)
{
	mutex_lock(&users_lock);
	if (!--users) {
		hrtimer_cancel(&timer);
		unregister_nmi_handler(NMI_LOCAL, "kvm_eli");
		WRITE_ONCE(eli_watchdog_cpu, -1);
	}
	mutex_unlock(&users_lock);
}
