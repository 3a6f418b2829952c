// SPDX-License-Identifier: GPL-2.0
/* ELI of one VM: switched on, suspended, and ended. */
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <asm/apic.h>
#include <asm/kvm_page_track.h>
#include "eli_svm.h"

static bool eli = true;
module_param(eli, bool, 0444);
MODULE_PARM_DESC(eli, "offer exit-less interrupts in software to VMs that ask for them");

void eli_kick_all(struct eli_vm *vm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, vm->kvm)
		kvm_vcpu_kick(vcpu);
}

/* A write to the guest's IDT, which exited: each shadow is made anew before it is used again. */
static void idt_written(gpa_t gpa, const u8 *new, int bytes, struct kvm_page_track_notifier_node *node)
{
	struct eli_vm *vm = container_of(node, struct eli_vm, track);
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (gpa >> PAGE_SHIFT != READ_ONCE(vm->tracked))
		return;
	kvm_for_each_vcpu(i, vcpu, vm->kvm) {
		struct eli_vcpu *own = to_svm(vcpu)->eli;

		if (own)
			WRITE_ONCE(own->stale, true);
	}
	eli_kick_all(vm);
}

static void idt_slot_removed(gfn_t gfn, unsigned long pages, struct kvm_page_track_notifier_node *node)
{
	struct eli_vm *vm = container_of(node, struct eli_vm, track);

	if (vm->tracked >= gfn && vm->tracked < gfn + pages)
		WRITE_ONCE(vm->tracked, 0);
}

static void unpin(struct eli_vm *vm)
{
	u64 i;

	for (i = 0; i < vm->pages && vm->page[i]; i++)
		unpin_user_page(vm->page[i]);
	kvfree(vm->page);
}

/*
 * The notifier list holds a reference to the VM for each of its users, since they are outside of KVM; this one ends with the
 * VM, and must not keep it.
 */
static int start_tracking(struct eli_vm *vm)
{
	int error;

	vm->track.track_write = idt_written;
	vm->track.track_remove_region = idt_slot_removed;
	error = kvm_page_track_register_notifier(vm->kvm, &vm->track);
	if (!error)
		kvm_put_kvm_no_destroy(vm->kvm);
	return error;
}

static void end_tracking(struct eli_vm *vm)
{
	write_lock(&vm->kvm->mmu_lock);
	hlist_del_rcu(&vm->track.node);
	write_unlock(&vm->kvm->mmu_lock);
	synchronize_srcu(&vm->kvm->arch.track_notifier_head.track_srcu);
}

/* Pins the shadows' pages: the guest may read them, the VM's process made them, from now on KVM alone writes them. */
static int pin(struct eli_vm *vm)
{
	struct kvm_memory_slot *slot;
	u64 i;
	int index, error = 0;

	index = srcu_read_lock(&vm->kvm->srcu);
	slot = gfn_to_memslot(vm->kvm, vm->gpa >> PAGE_SHIFT);
	if (!slot || !(slot->flags & KVM_MEM_READONLY) || (vm->gpa >> PAGE_SHIFT) + vm->pages > slot->base_gfn + slot->npages)
		error = -EINVAL;
	for (i = 0; !error && i < vm->pages; i++) {
		unsigned long at = __gfn_to_hva_memslot(slot, (vm->gpa >> PAGE_SHIFT) + i);

		if (pin_user_pages_unlocked(at, 1, &vm->page[i], FOLL_WRITE | FOLL_LONGTERM) != 1)
			error = -EFAULT;
	}
	srcu_read_unlock(&vm->kvm->srcu, index);
	return error;
}

static int first_time(struct kvm *kvm, gpa_t gpa, u64 pages)
{
	struct eli_vm *vm;
	int error;

	if (!PAGE_ALIGNED(gpa) || !gpa || !pages || gpa >= ELI_ISA_END || pages > (ELI_ISA_END - gpa) >> PAGE_SHIFT)
		return -EINVAL;
	if (kvm->arch.vm_type != KVM_X86_DEFAULT_VM || !npt_enabled)
		return -EOPNOTSUPP;
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return -ENOMEM;
	vm->kvm = kvm;
	vm->gpa = gpa;
	vm->pages = pages;
	raw_spin_lock_init(&vm->lock);
	mutex_init(&vm->track_lock);
	INIT_LIST_HEAD(&vm->routes);
	INIT_WORK(&vm->steer, eli_steer);
	vm->page = kvcalloc(pages, sizeof(*vm->page), GFP_KERNEL_ACCOUNT);
	error = vm->page ? pin(vm) : -ENOMEM;
	if (error)
		goto unpin;
	error = start_tracking(vm);
	if (error)
		goto unpin;
	error = eli_watchdog_start();
	if (error)
		goto untrack;
	WRITE_ONCE(to_kvm_svm(kvm)->eli, vm);
	return 0;

untrack:
	end_tracking(vm);
unpin:
	if (vm->page)
		unpin(vm);
	kfree(vm);
	return error;
}

static int enable(struct kvm *kvm, u64 flags, gpa_t gpa, u64 pages)
{
	struct eli_vm *vm;
	int error = 0;

	if (flags & ~(KVM_ELI_DELIVERY | KVM_ELI_COMPLETION) || flags == KVM_ELI_COMPLETION)
		return -EINVAL;
	mutex_lock(&kvm->lock);
	vm = to_kvm_svm(kvm)->eli;
	if (!vm)
		error = first_time(kvm, gpa, pages);
	else if (gpa != vm->gpa || pages != vm->pages)
		error = -EBUSY;
	vm = to_kvm_svm(kvm)->eli;
	if (!error) {
		raw_spin_lock_irq(&vm->lock);
		WRITE_ONCE(vm->flags, flags);
		vm->generation++;
		raw_spin_unlock_irq(&vm->lock);
		eli_kick_all(vm);
	}
	mutex_unlock(&kvm->lock);
	return error;
}

static struct eli_ops ops = { .enable = enable, .prepare = eli_prepare };

int eli_vcpu_create(struct vcpu_svm *svm)
{
	svm->eli = kvzalloc(sizeof(*svm->eli), GFP_KERNEL_ACCOUNT);
	if (!svm->eli)
		return -ENOMEM;
	svm->eli->reason = ELI_OFF;
	svm->eli->penalty_until = jiffies;
	svm->vcpu.stat.eli_reason = ELI_OFF;
	return 0;
}

void eli_vcpu_free(struct vcpu_svm *svm)
{
	eli_forget_suspect(&svm->vcpu);
	kvfree(svm->eli);
	svm->eli = NULL;
}

void eli_vm_destroy(struct kvm *kvm)
{
	struct eli_vm *vm = to_kvm_svm(kvm)->eli;
	struct eli_route *route, *next;

	if (!vm)
		return;
	to_kvm_svm(kvm)->eli = NULL;
	cancel_work_sync(&vm->steer);
	end_tracking(vm);
	eli_watchdog_stop();
	list_for_each_entry_safe(route, next, &vm->routes, link)
		kfree(route);
	unpin(vm);
	kfree(vm);
}

/*
 * Without a physical APIC in x2APIC mode nothing could be told apart or completed; posting hardware needs none of this. The
 * parameter then says what became of it, as avic does.
 */
int eli_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		raw_spin_lock_init(&per_cpu_ptr(&eli_cpus, cpu)->lock);
	eli = eli && x2apic_mode && !enable_apicv && npt_enabled;
	if (eli)
		kvm_eli_ops = &ops;
	return 0;
}

void eli_exit(void)
{
	kvm_eli_ops = NULL;
}
