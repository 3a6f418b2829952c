// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that attacks its host through ELI (src/Eli). Loading it runs one attack on the loading CPU, for a bounded time, and puts the
 * guest right again where that can be done: insmod attack.ko what=NAME seconds=N. Afterwards
 *   /sys/module/attack/parameters/rounds	how often the attack did its deed
 *   /sys/module/attack/parameters/eaten	interrupts that a handler of the attacker's took
 * `spin` attacks nothing: it is the control run. `churn` does what a guest may do, often.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/irq.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <asm/apicdef.h>
#include <asm/desc.h>
#include <asm/hw_irq.h>
#include <asm/irq_vectors.h>
#include <asm/msr.h>
#include <asm/pgtable.h>
#include <asm/tsc.h>

#define SHADOWS		0xa0000ul	/* guest-physical; a page for each vCPU (docs/vmm-machine.md) */
#define X2APIC_EOI	0x80b
#define X2APIC_ICR	0x830

static char *what = "spin";
module_param(what, charp, 0444);
static unsigned int seconds = 5;
module_param(seconds, uint, 0444);
static ulong rounds;
module_param(rounds, ulong, 0444);
ulong attack_eaten;
module_param_named(eaten, attack_eaten, ulong, 0444);

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

static u64 deadline;

static bool on(void)
{
	return rdtsc_ordered() < deadline;
}

static void spin_us(u64 us)
{
	u64 end = rdtsc_ordered() + us * tsc_khz / 1000;

	while (rdtsc_ordered() < end)
		barrier();
}

/* An exit that the guest chooses. */
static void leave(void)
{
	cpuid_eax(0);
}

static void set_idt(unsigned long address, u16 size)
{
	struct desc_ptr to = { .size = size, .address = address };

	asm volatile("lidt %0" : : "m"(to));
}

static struct desc_ptr get_idt(void)
{
	struct desc_ptr at;

	asm volatile("sidt %0" : "=m"(at));
	return at;
}

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

static int spin(void)
{
	for (; on(); rounds++)
		barrier();
	return 0;
}

static int if0(void)
{
	local_irq_disable();
	for (; on(); rounds++)
		barrier();
	local_irq_enable();
	return 0;
}

/* Each time shorter than the watchdog notices, then an exit that looks like good behaviour. */
static int if0_pulse(void)
{
	for (; on(); rounds++) {
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
	for (; on(); rounds++)
		asm volatile("hlt" : : : "memory");
	local_irq_enable();
	return 0;
}

static int cr8(void)
{
	for (; on(); rounds++) {
		asm volatile("mov %0, %%cr8" : : "r"(15ul));
		spin_us(20000);
	}
	asm volatile("mov %0, %%cr8" : : "r"(0ul));
	return 0;
}

static int eoistorm(void)
{
	for (; on(); rounds++)
		wrmsrl(X2APIC_EOI, 0);
	return 0;
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
	for (; on(); rounds++)
		spin_us(1000);
}

static void ints(void)
{
	for (; on(); rounds++) {
		local_irq_disable();
		((void (*)(void))attack_ints)();
		local_irq_enable();
	}
}

static int noeoi(void)
{
	return with_copy(LOCAL_TIMER_VECTOR - 1, attack_return, idle);
}

static int lidt_copy(void)
{
	return with_copy(255, attack_eat, idle);
}

static int intn(void)
{
	return with_copy(255, attack_return, ints);
}

static int lidt_garbage(void)
{
	struct desc_ptr own = get_idt();

	local_irq_disable();
	for (; on(); rounds++) {
		/* Canonical, and mapped by nobody: Documentation/arch/x86/x86_64/mm.rst, "unused hole". */
		set_idt(0xfffffbf000000000ul + PAGE_SIZE * (rounds & 255), own.size);
		spin_us(50000);
	}
	set_idt(own.address, own.size);
	local_irq_enable();
	return 0;
}

/* The first interrupt that comes is the guest's end. */
static int lidt_garbage_open(void)
{
	set_idt(0xfffffbf000000000ul, PAGE_SIZE - 1);
	return spin();
}

static int idt_alias(void)
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
	for (; on(); rounds++) {
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
static int shadow_unmap(void)
{
	unsigned long address;
	pte_t *pte = shadow_entry(&address), good;

	if (!pte)
		return -ENXIO;
	good = *pte;
	map_shadow(pte, address, __pte(0));
	spin();
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
			spin();
		map_shadow(pte, address, good);
		rounds++;
		leave();
	}
	local_irq_disable();
	raise_all();
	local_irq_enable();
	free_page((unsigned long)own);
	return 0;
}

static int shadow_remap(void)
{
	return swallow(0);
}

static int shadow_flip(void)
{
	return swallow(60000);
}

static void reload_here(void *unused)
{
	struct desc_ptr own = get_idt();

	set_idt(own.address, own.size);
}

/*
 * Masks and unmasks every entry of each network function's MSI-X table (PCI Local Bus Specification 3.0, 6.8.2.9). Slowly, it is no attack:
 * every CPU loads the IDT that it has in between.
 */
static int msix(bool slowly)
{
	struct pci_dev *device = NULL;
	void __iomem *table[4];
	int entries[4], tables = 0, i, entry;

	while (tables < 4 && (device = pci_get_class(PCI_CLASS_NETWORK_ETHERNET << 8, device))) {
		u16 control;
		u32 where;

		if (!device->msix_cap)
			continue;
		pci_read_config_word(device, device->msix_cap + PCI_MSIX_FLAGS, &control);
		pci_read_config_dword(device, device->msix_cap + PCI_MSIX_TABLE, &where);
		entries[tables] = (control & PCI_MSIX_FLAGS_QSIZE) + 1;
		table[tables] = ioremap(pci_resource_start(device, where & PCI_MSIX_TABLE_BIR) + (where & PCI_MSIX_TABLE_OFFSET),
					entries[tables] * PCI_MSIX_ENTRY_SIZE);
		if (table[tables])
			tables++;
	}
	if (!tables)
		return -ENODEV;
	for (; on(); rounds++) {
		for (i = 0; i < tables; i++) {
			for (entry = 0; entry < entries[i]; entry++) {
				void __iomem *control = table[i] + entry * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL;

				writel(PCI_MSIX_ENTRY_CTRL_MASKBIT, control);
				writel(0, control);
			}
		}
		if (slowly) {
			on_each_cpu(reload_here, NULL, 1);
			msleep(20);
		} else {
			cond_resched();
		}
	}
	for (i = 0; i < tables; i++)
		iounmap(table[i]);
	return 0;
}

static int msix_storm(void)
{
	return msix(false);
}

static int churn(void)
{
	return msix(true);
}

static const struct {
	const char *name;
	int (*run)(void);
	bool sleeps;
} attacks[] = {
	{ "spin", spin }, { "if0", if0 }, { "if0-pulse", if0_pulse }, { "if0-halt", if0_halt }, { "cr8", cr8 }, { "noeoi", noeoi },
	{ "eoistorm", eoistorm }, { "lidt-garbage", lidt_garbage }, { "lidt-garbage-open", lidt_garbage_open },
	{ "lidt-copy", lidt_copy }, { "idt-alias", idt_alias }, { "intn", intn }, { "shadow-unmap", shadow_unmap },
	{ "shadow-remap", shadow_remap }, { "shadow-flip", shadow_flip }, { "msix-storm", msix_storm, true },
	{ "churn", churn, true },
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
		deadline = rdtsc_ordered() + (u64)seconds * tsc_khz * 1000;
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
