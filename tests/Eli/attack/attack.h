/* SPDX-License-Identifier: GPL-2.0 */
/* What the attacks share. Each returns 0, or why it could not be done. */
#ifndef ATTACK_H
#define ATTACK_H

#include <linux/types.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#define X2APIC_EOI	0x80b
#define X2APIC_ICR	0x830

extern ulong attack_rounds, attack_eaten;
extern u64 attack_deadline;

static inline bool on(void)
{
	return rdtsc_ordered() < attack_deadline;
}

static inline void spin_us(u64 us)
{
	u64 end = rdtsc_ordered() + us * tsc_khz / 1000;

	while (rdtsc_ordered() < end)
		barrier();
}

/* An exit that the guest chooses. */
static inline void leave(void)
{
	cpuid_eax(0);
}

static inline void set_idt(unsigned long address, u16 size)
{
	struct desc_ptr to = { .size = size, .address = address };

	asm volatile("lidt %0" : : "m"(to));
}

static inline struct desc_ptr get_idt(void)
{
	struct desc_ptr at;

	asm volatile("sidt %0" : "=m"(at));
	return at;
}

int attack_spin(void);

/* tables.c */
int attack_noeoi(void);
int attack_lidt_garbage(void);
int attack_lidt_garbage_open(void);
int attack_lidt_copy(void);
int attack_idt_alias(void);
int attack_intn(void);
int attack_shadow_unmap(void);
int attack_shadow_remap(void);
int attack_shadow_flip(void);

/* msix.c */
int attack_msix_storm(void);
int attack_churn(void);

#endif
