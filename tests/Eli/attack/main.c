// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that attacks its host through ELI (src/Eli). Loading it runs one attack on the loading CPU, for a bounded time, and puts the
 * guest right again where that can be done: insmod attack.ko what=NAME seconds=N. Afterwards
 *   /sys/module/attack/parameters/rounds	how often the attack did its deed
 *   /sys/module/attack/parameters/eaten	interrupts that a handler of the attacker's took
 * `spin` attacks nothing: it is the control run. `churn` does what a guest may do, often.
 */
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/string.h>
#include "attack.h"

static char *what = "spin";
module_param(what, charp, 0444);
static unsigned int seconds = 5;
module_param(seconds, uint, 0444);
ulong attack_rounds;
module_param_named(rounds, attack_rounds, ulong, 0444);
ulong attack_eaten;
module_param_named(eaten, attack_eaten, ulong, 0444);
u64 attack_deadline;

int attack_spin(void)
{
	for (; on(); attack_rounds++)
		barrier();
	return 0;
}

static int if0(void)
{
	local_irq_disable();
	for (; on(); attack_rounds++)
		barrier();
	local_irq_enable();
	return 0;
}

/* Each time shorter than the watchdog notices, then an exit that looks like good behaviour. */
static int if0_pulse(void)
{
	for (; on(); attack_rounds++) {
		local_irq_disable();
		spin_us(80000);
		leave();
		local_irq_enable();
	}
	return 0;
}

static int if0_halt(void)
{
	local_irq_disable();
	for (; on(); attack_rounds++)
		asm volatile("hlt" : : : "memory");
	local_irq_enable();
	return 0;
}

static int cr8(void)
{
	for (; on(); attack_rounds++) {
		asm volatile("mov %0, %%cr8" : : "r"(15ul));
		spin_us(20000);
	}
	asm volatile("mov %0, %%cr8" : : "r"(0ul));
	return 0;
}

static int eoistorm(void)
{
	for (; on(); attack_rounds++)
		wrmsrl(X2APIC_EOI, 0);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(void);
	bool sleeps;
} attacks[] = {
	{ "spin", attack_spin }, { "if0", if0 }, { "if0-pulse", if0_pulse }, { "if0-halt", if0_halt }, { "cr8", cr8 },
	{ "noeoi", attack_noeoi }, { "eoistorm", eoistorm }, { "lidt-garbage", attack_lidt_garbage },
	{ "lidt-garbage-open", attack_lidt_garbage_open }, { "lidt-copy", attack_lidt_copy }, { "idt-alias", attack_idt_alias },
	{ "intn", attack_intn }, { "shadow-unmap", attack_shadow_unmap }, { "shadow-remap", attack_shadow_remap },
	{ "shadow-flip", attack_shadow_flip }, { "msix-storm", attack_msix_storm, true }, { "churn", attack_churn, true },
};

static int __init attack_init(void)
{
	unsigned int i;
	int error;

	for (i = 0; i < ARRAY_SIZE(attacks); i++) {
		if (strcmp(what, attacks[i].name))
			continue;
		/* The others stay on their CPU: an attacker is never interrupted long enough to be moved, and a thread bound to one is not moved at all. */
		if (!attacks[i].sleeps)
			set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
		attack_deadline = rdtsc_ordered() + (u64)seconds * tsc_khz * 1000;
		error = attacks[i].run();
		if (error)
			pr_err("attack: %s could not be done: %d\n", what, error);
		return error;
	}
	pr_err("attack: there is no attack `%s`\n", what);
	return -EINVAL;
}

static void __exit attack_exit(void)
{
}

module_init(attack_init);
module_exit(attack_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("a guest that attacks its host through ELI");
