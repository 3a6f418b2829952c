// SPDX-License-Identifier: GPL-2.0
/*
 * The shadow IDT of a vCPU: made, and found in the guest's address space.
 *
 * The shadows lie below 1 MiB of guest-physical memory, where a PC has no RAM: Linux maps that whole MiB in its direct map
 * whatever lies there (init_mem_mapping(), "the ISA range is always mapped"), so the guest needs no change. Where it
 * is mapped is found by walking the guest's page tables, and looked up again before each entry. A guest that maps it
 * differently hurts itself, or is caught: see eli_mode.c.
 */
#include <asm/desc.h>
#include <asm/irq_vectors.h>
#include "mmu.h"
#include "x86.h"
#include "lapic.h"
#include "kvm_cache_regs.h"
#include "eli_svm.h"

#define TABLE_ENTRIES	512
#define ENTRY_PRESENT	BIT_ULL(0)
#define ENTRY_ADDRESS	GENMASK_ULL(51, 12)

static gpa_t translate(struct kvm_vcpu *vcpu, gva_t address)
{
	struct kvm_mmu *mmu = vcpu->arch.walk_mmu;

	return mmu->gva_to_gpa(vcpu, mmu, address, 0, NULL);
}

static u64 read_entry(struct kvm_vcpu *vcpu, gpa_t table, int index)
{
	u64 entry;

	return kvm_vcpu_read_guest(vcpu, (table & ENTRY_ADDRESS) + index * sizeof(entry), &entry, sizeof(entry)) ? 0 : entry;
}

/*
 * Looks through one table of the guest's page tables for the GiB that maps guest-physical 0; the walk ends when the budget
 * of GiB looked at is used up.
 */
static gva_t find_below(struct kvm_vcpu *vcpu, gpa_t table, int level, gva_t base, int first, gpa_t probe, int *budget)
{
	int shift = PAGE_SHIFT + 9 * (level - 1);
	int index;

	for (index = first; index < TABLE_ENTRIES && *budget > 0; index++) {
		u64 entry = read_entry(vcpu, table, index);
		gva_t address = base + ((u64)index << shift), found;

		if (!(entry & ENTRY_PRESENT))
			continue;
		if (level > 3) {
			found = find_below(vcpu, entry, level - 1, address, 0, probe, budget);
			if (found)
				return found;
			continue;
		}
		--*budget;
		if (translate(vcpu, address + probe) == probe)
			return address;
	}
	return 0;
}

/* The kernel's half of the address space: the upper one, whose addresses have ones above the top level's bits. */
static gva_t find_isa(struct kvm_vcpu *vcpu, unsigned long cr3, int levels, gpa_t probe)
{
	int budget = 4096;

	return find_below(vcpu, cr3, levels, ~0ull << (PAGE_SHIFT + 9 * levels), TABLE_ENTRIES / 2, probe, &budget);
}

/*
 * Under page-table isolation Linux has two top-level tables in neighbouring pages, the second for user mode, with the
 * entry of the CPU entry area (where the IDT is) in both, and without the direct map. Neighbours that are no such pair
 * do not agree in that entry.
 */
static bool isolates_page_tables(struct kvm_vcpu *vcpu, unsigned long cr3, gva_t idt, int levels)
{
	int index = (idt >> (PAGE_SHIFT + 9 * (levels - 1))) & (TABLE_ENTRIES - 1);
	u64 here = read_entry(vcpu, cr3, index), there = read_entry(vcpu, cr3 ^ PAGE_SIZE, index);

	return here && here == there;
}

/*
 * Write-tracking makes each write to the guest's IDT exit, so that the next entry sees it. It takes locks that are
 * taken outside kvm->srcu.
 */
static void track(struct kvm_vcpu *vcpu, struct eli_vm *vm, gfn_t gfn)
{
	if (READ_ONCE(vm->tracked) == gfn)
		return;
	kvm_vcpu_srcu_read_unlock(vcpu);
	mutex_lock(&vm->track_lock);
	if (vm->tracked != gfn) {
		if (vm->tracked)
			kvm_write_track_remove_gfn(vm->kvm, vm->tracked);
		WRITE_ONCE(vm->tracked, kvm_write_track_add_gfn(vm->kvm, gfn) ? 0 : gfn);
	}
	mutex_unlock(&vm->track_lock);
	kvm_vcpu_srcu_read_lock(vcpu);
}

/* Copies the guest's IDT. A gate beyond its limit counts as not present. */
static bool copy_idt(struct kvm_vcpu *vcpu, struct eli_vm *vm, struct eli_vcpu *eli)
{
	unsigned int bytes = min_t(unsigned int, eli->idt.size + 1, sizeof(eli->copy));

	memset(eli->copy, 0, sizeof(eli->copy));
	/* One page, as Linux has it; another system's is served by injection. */
	if (eli->idt_gpa == INVALID_GPA || offset_in_page(eli->idt_gpa))
		return false;
	track(vcpu, vm, eli->idt_gpa >> PAGE_SHIFT);
	return !kvm_vcpu_read_guest(vcpu, eli->idt_gpa, eli->copy, bytes);
}

static void fill(struct eli_vcpu *eli, gate_desc *shadow)
{
	int vector, i;

	for (vector = 0; vector < 256; vector++) {
		gate_desc gate = eli->copy[vector];

		/* A gate that is not present must have a type that raises #NP and not #GP. */
		if (vector >= FIRST_EXTERNAL_VECTOR && vector != IA32_SYSCALL_VECTOR) {
			u8 privilege = gate.bits.dpl;

			memset(&gate, 0, sizeof(gate));
			gate.bits.type = GATE_INTERRUPT;
			gate.bits.dpl = privilege;
		}
		shadow[vector] = gate;
	}
	bitmap_zero(eli->present, 256);
	for (i = 0; i < eli->gates; i++) {
		gate_desc gate = eli->copy[eli->gate[i].guest_vector];

		if (!gate.bits.p || gate.bits.type != GATE_INTERRUPT)
			continue;
		shadow[eli->gate[i].host_vector] = gate;
		__set_bit(eli->gate[i].host_vector, eli->present);
	}
}

static enum eli_reason find_shadow(struct kvm_vcpu *vcpu, struct eli_vm *vm, struct eli_vcpu *eli)
{
	gpa_t own = vm->gpa + vcpu->vcpu_id * PAGE_SIZE;
	unsigned long cr3 = kvm_read_cr3(vcpu);
	int levels = kvm_is_cr4_bit_set(vcpu, X86_CR4_LA57) ? 5 : 4;
	gva_t isa = READ_ONCE(vm->isa);

	if (!isa || translate(vcpu, isa + own) != own) {
		/* It was there when the last run began: the guest took it away, and what it did with the host's interrupts is unknown. */
		if (isa && eli->was_direct)
			eli_charge(vcpu, eli, NSEC_PER_SEC);
		WRITE_ONCE(vm->isa, 0);
		if (vm->searched && time_before(jiffies, vm->searched + HZ / 4))
			return ELI_NO_MAPPING;
		vm->searched = jiffies;
		isa = find_isa(vcpu, cr3, levels, own);
		WRITE_ONCE(vm->isa, isa);
		if (!isa)
			return ELI_NO_MAPPING;
		eli->cr3 = 0;
	}
	if (eli->cr3 != cr3) {
		if (isolates_page_tables(vcpu, cr3, eli->idt.address, levels))
			return ELI_PAGE_TABLE_ISOLATION;
		eli->cr3 = cr3;
	}
	eli->shadow = isa + own;
	return ELI_DIRECT;
}

static enum eli_reason make(struct kvm_vcpu *vcpu, struct eli_vm *vm, struct eli_vcpu *eli)
{
	enum eli_reason reason;
	struct desc_ptr idt;
	gpa_t idt_gpa;
	bool same;

	if (READ_ONCE(vm->quarantined))
		return ELI_QUARANTINE;
	if (!(READ_ONCE(vm->flags) & KVM_ELI_DELIVERY))
		return ELI_SUSPENDED;
	if (vcpu->vcpu_id >= vm->pages)
		return ELI_NO_MAPPING;
	if (!is_long_mode(vcpu) || !is_paging(vcpu) || is_guest_mode(vcpu))
		return ELI_NOT_LONG_MODE;
	if (!lapic_in_kernel(vcpu) || !apic_x2apic_mode(vcpu->arch.apic))
		return ELI_NO_X2APIC;
	if (vcpu->cpu == READ_ONCE(eli_watchdog_cpu))
		return ELI_WATCHDOG_CPU;

	idt.address = to_svm(vcpu)->vmcb01.ptr->save.idtr.base;
	idt.size = to_svm(vcpu)->vmcb01.ptr->save.idtr.limit;
	idt_gpa = translate(vcpu, idt.address);
	same = eli->made && !eli->stale && idt.address == eli->idt.address && idt.size == eli->idt.size
		&& idt_gpa == eli->idt_gpa
		&& vcpu->cpu == eli->cpu && READ_ONCE(vm->generation) == eli->generation;
	eli->idt = idt;
	eli->idt_gpa = idt_gpa;
	reason = find_shadow(vcpu, vm, eli);
	if (reason != ELI_DIRECT)
		return reason;
	if (same)
		return bitmap_empty(eli->present, 256) ? ELI_NO_VECTOR : ELI_DIRECT;

	eli->made = false;
	eli->generation = READ_ONCE(vm->generation);
	eli->cpu = vcpu->cpu;
	WRITE_ONCE(eli->stale, false);
	/* A write between this and the copy's end makes it stale again. */
	smp_mb();
	eli->gates = eli_collect_gates(vm, vcpu, eli->cpu, eli->gate);
	if (!copy_idt(vcpu, vm, eli))
		return ELI_IDT_UNREADABLE;
	fill(eli, page_address(vm->page[vcpu->vcpu_id]));
	vcpu->stat.eli_vectors = bitmap_weight(eli->present, 256);
	vcpu->stat.eli_shadows++;
	eli->made = true;
	return bitmap_empty(eli->present, 256) ? ELI_NO_VECTOR : ELI_DIRECT;
}

/* Called before each entry with kvm->srcu held, where guest memory may be read. */
void eli_prepare(struct kvm_vcpu *vcpu)
{
	struct eli_vm *vm = READ_ONCE(to_kvm_svm(vcpu->kvm)->eli);
	struct eli_vcpu *eli = to_svm(vcpu)->eli;

	if (!vm || !eli)
		return;
	if (!bitmap_empty(eli->resend, 256))
		eli_give_back(vcpu, eli);
	eli->reason = make(vcpu, vm, eli);
	if (eli->reason != ELI_DIRECT)
		vcpu->stat.eli_reason = eli->reason;
	else if (!eli_emulates(vcpu, to_svm(vcpu)) && !eli->once && !time_before(jiffies, eli->penalty_until))
		eli_take_back(vcpu, eli);
}
