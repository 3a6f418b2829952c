// SPDX-License-Identifier: GPL-2.0
/*
 * Which interrupts of assigned devices belong to which vCPU. One more backend of the irqbypass seam, beside VT-d's posted
 * interrupts and AVIC: the device keeps the host's vector, and the shadow gets a gate for it.
 */
#include <linux/irq.h>
#include <linux/slab.h>
#include <asm/hw_irq.h>
#include "lapic.h"
#include "irq.h"
#include "eli_svm.h"

/* Finds the one vCPU of a GSI's message. Called with kvm->irq_srcu held. */
static struct kvm_vcpu *target_of(struct kvm *kvm, u32 gsi, u8 *vector)
{
	struct kvm_irq_routing_table *table = srcu_dereference(kvm->irq_routing, &kvm->irq_srcu);
	struct kvm_kernel_irq_routing_entry *entry;
	struct kvm_vcpu *vcpu = NULL;
	struct kvm_lapic_irq irq;
	int routes = 0;

	if (gsi >= table->nr_rt_entries)
		return NULL;
	hlist_for_each_entry(entry, &table->map[gsi], link) {
		if (entry->type != KVM_IRQ_ROUTING_MSI || routes++)
			return NULL;
		kvm_set_msi_irq(kvm, entry, &irq);
	}
	if (routes != 1 || irq.delivery_mode != APIC_DM_FIXED || irq.vector < 32)
		return NULL;
	if (!kvm_intr_is_single_vcpu(kvm, &irq, &vcpu))
		return NULL;
	*vector = irq.vector;
	return vcpu;
}

/*
 * Takes note of an interrupt, of its new message, or (set false) of its end. True: the VM has ELI, nobody else need look.
 * Called with interrupts off, by those who may free the interrupt afterwards; the vCPU that had it is on its way out of
 * the guest when this returns, by an interrupt of higher priority than any device's.
 */
bool eli_update_route(struct kvm *kvm, unsigned int host_irq, u32 gsi, bool set)
{
	struct eli_vm *vm = READ_ONCE(to_kvm_svm(kvm)->eli);
	struct eli_route *route, *found = NULL;
	struct kvm_vcpu *before = NULL, *vcpu = NULL;
	unsigned long flags;
	u8 vector = 0;
	int index;

	if (!vm)
		return false;
	if (set) {
		index = srcu_read_lock(&kvm->irq_srcu);
		vcpu = target_of(kvm, gsi, &vector);
		srcu_read_unlock(&kvm->irq_srcu, index);
	}
	raw_spin_lock_irqsave(&vm->lock, flags);
	list_for_each_entry(route, &vm->routes, link) {
		if (route->host_irq == host_irq) {
			found = route;
			break;
		}
	}
	if (found)
		before = found->vcpu;
	if (!set) {
		if (found)
			list_del(&found->link);
		kfree(found);
	} else {
		/* Without memory the interrupt is injected, as ever. */
		if (!found && (found = kzalloc(sizeof(*found), GFP_ATOMIC)))
			list_add_tail(&found->link, &vm->routes);
		if (found) {
			found->host_irq = host_irq;
			found->gsi = gsi;
			found->vcpu = vcpu;
			found->guest_vector = vector;
		}
	}
	vm->generation++;
	raw_spin_unlock_irqrestore(&vm->lock, flags);
	if (before)
		kvm_vcpu_kick(before);
	if (vcpu && vcpu != before)
		kvm_vcpu_kick(vcpu);
	return true;
}

static bool arrives_at(struct irq_data *data, int cpu)
{
	return cpumask_test_cpu(cpu, irq_data_get_effective_affinity_mask(data));
}

/* The gates that a vCPU's shadow may have on a CPU: its interrupts that arrive there, by the host's vectors of this moment. */
int eli_collect_gates(struct eli_vm *vm, struct kvm_vcpu *vcpu, int cpu, struct eli_gate *gates)
{
	struct eli_route *route;
	unsigned long flags;
	bool elsewhere = false;
	int count = 0;

	raw_spin_lock_irqsave(&vm->lock, flags);
	list_for_each_entry(route, &vm->routes, link) {
		struct irq_data *data;
		struct irq_cfg *config;

		if (route->vcpu != vcpu || count == ELI_MAX_DIRECT)
			continue;
		data = irq_get_irq_data(route->host_irq);
		config = data ? irqd_cfg(data) : NULL;
		if (!config || config->vector < FIRST_EXTERNAL_VECTOR)
			continue;
		if (!arrives_at(data, cpu)) {
			elsewhere = true;
			continue;
		}
		gates[count].host_irq = route->host_irq;
		gates[count].host_vector = config->vector;
		gates[count].guest_vector = route->guest_vector;
		count++;
	}
	raw_spin_unlock_irqrestore(&vm->lock, flags);
	if (elsewhere)
		queue_work(system_unbound_wq, &vm->steer);
	return count;
}

/* Is every gate still what the host and the guest have? With interrupts off, just before the guest runs. */
bool eli_gates_hold(struct eli_vm *vm, struct eli_vcpu *eli)
{
	bool hold;
	int i;

	raw_spin_lock(&vm->lock);
	hold = vm->generation == eli->generation;
	for (i = 0; hold && i < eli->gates; i++) {
		struct irq_data *data = irq_get_irq_data(eli->gate[i].host_irq);
		struct irq_cfg *config = data ? irqd_cfg(data) : NULL;

		hold = config && config->vector == eli->gate[i].host_vector && arrives_at(data, eli->cpu);
	}
	raw_spin_unlock(&vm->lock);
	return hold;
}

static bool requested(struct kvm_lapic *apic, u8 vector)
{
	return kvm_lapic_get_reg(apic, APIC_IRR + (vector / 32) * 0x10) & BIT(vector % 32);
}

/*
 * A device interrupt that the host took (the vCPU was not in the guest, or in injection mode) waits in the virtual APIC. Injected
 * from there it would keep the vCPU in injection mode until its EOI exits. So it is taken back, and raised again as the host's
 * vector at the entry, which the guest then takes directly. Not while something else is to be injected, which goes first.
 */
void eli_take_back(struct kvm_vcpu *vcpu, struct eli_vcpu *eli)
{
	struct kvm_lapic *apic = vcpu->arch.apic;
	int word, i;
	u32 own[8] = {}, other = 0;

	if (!apic->irr_pending || apic->isr_count)
		return;
	for (i = 0; i < eli->gates; i++) {
		if (test_bit(eli->gate[i].host_vector, eli->present))
			own[eli->gate[i].guest_vector / 32] |= BIT(eli->gate[i].guest_vector % 32);
	}
	for (word = 0; word < 8; word++)
		other |= kvm_lapic_get_reg(apic, APIC_IRR + word * 0x10) & ~own[word];
	if (other)
		return;
	for (i = 0; i < eli->gates; i++) {
		if (!test_bit(eli->gate[i].host_vector, eli->present) || !requested(apic, eli->gate[i].guest_vector))
			continue;
		kvm_apic_clear_irr(vcpu, eli->gate[i].guest_vector);
		__set_bit(eli->gate[i].host_vector, eli->resend);
		vcpu->stat.eli_resent++;
	}
}

/* What was taken back for an entry that does not come, or not with the same gates, waits in the virtual APIC again. */
void eli_give_back(struct kvm_vcpu *vcpu, struct eli_vcpu *eli)
{
	int i;

	for (i = 0; i < eli->gates; i++) {
		if (test_bit(eli->gate[i].host_vector, eli->resend))
			kvm_lapic_set_irr(eli->gate[i].guest_vector, vcpu->arch.apic);
	}
	bitmap_zero(eli->resend, 256);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/* Sends each interrupt to the CPU of its vCPU. The affinity is changed without the lock: it sleeps. */
void eli_steer(struct work_struct *work)
{
	struct eli_vm *vm = container_of(work, struct eli_vm, steer);
	struct { unsigned int irq; int cpu; } move[ELI_MAX_DIRECT];
	struct eli_route *route;
	int count = 0, i;

	raw_spin_lock_irq(&vm->lock);
	list_for_each_entry(route, &vm->routes, link) {
		struct irq_data *data = irq_get_irq_data(route->host_irq);
		int cpu = route->vcpu ? READ_ONCE(route->vcpu->cpu) : -1;

		if (cpu < 0 || !data || count == ELI_MAX_DIRECT || arrives_at(data, cpu))
			continue;
		move[count].irq = route->host_irq;
		move[count++].cpu = cpu;
	}
	raw_spin_unlock_irq(&vm->lock);
	for (i = 0; i < count; i++)
		irq_set_affinity(move[i].irq, cpumask_of(move[i].cpu));
	if (!count)
		return;
	raw_spin_lock_irq(&vm->lock);
	vm->generation++;
	raw_spin_unlock_irq(&vm->lock);
	eli_kick_all(vm);
}
