// SPDX-License-Identifier: GPL-2.0
/* The physical local APIC as ELI needs it, in x2APIC mode (AMD APM volume 2, 16.11; Intel SDM volume 3, 11.12). */
#include <asm/apic.h>
#include <asm/irq_vectors.h>
#include <asm/msr.h>
#include "eli_svm.h"

static u32 apic_read_at(unsigned int reg)
{
	u64 value;

	rdmsrl(ELI_X2APIC_MSR(reg), value);
	return value;
}

bool eli_apic_in_service(u8 vector)
{
	return apic_read_at(APIC_ISR + (vector / 32) * 0x10) & BIT(vector % 32);
}

/* -1: none of 32 and above. The host's task priority is below class 2, so the processor's priority says it with one read. */
int eli_apic_highest_in_service(void)
{
	int word;

	if ((apic_read_at(APIC_PROCPRI) >> 4) < FIRST_EXTERNAL_VECTOR >> 4)
		return -1;
	for (word = 7; word > 0; word--) {
		u32 bits = apic_read_at(APIC_ISR + word * 0x10);

		if (bits)
			return word * 32 + fls(bits) - 1;
	}
	return -1;
}

/* Does an interrupt wait that is none of these? */
bool eli_apic_requested_but(const unsigned long *own)
{
	int word;

	for (word = 1; word < 8; word++) {
		u32 mine = own[word / 2] >> (word % 2 * 32);

		if (apic_read_at(APIC_IRR + word * 0x10) & ~mine)
			return true;
	}
	return false;
}

void eli_apic_end(void)
{
	wrmsrl(ELI_X2APIC_MSR(APIC_EOI), 0);
}

void eli_apic_send_self(u8 vector)
{
	wrmsrl(ELI_X2APIC_MSR(APIC_ICR), APIC_DEST_SELF | APIC_DM_FIXED | vector);
}

bool eli_apic_timer_armed(void)
{
	u64 deadline;

	if (!boot_cpu_has(X86_FEATURE_TSC_DEADLINE_TIMER))
		return apic_read_at(APIC_TMCCT);
	rdmsrl(MSR_IA32_TSC_DEADLINE, deadline);
	return deadline;
}

bool eli_apic_timer_pending(void)
{
	u32 bit = BIT(LOCAL_TIMER_VECTOR % 32);
	unsigned int at = (LOCAL_TIMER_VECTOR / 32) * 0x10;

	return (apic_read_at(APIC_IRR + at) | apic_read_at(APIC_ISR + at)) & bit;
}

static void send(int cpu, u32 how)
{
	weak_wrmsr_fence();
	wrmsrl(ELI_X2APIC_MSR(APIC_ICR), (u64)per_cpu(x86_cpu_to_apicid, cpu) << 32 | how | APIC_DEST_PHYSICAL);
}

void eli_apic_send(int cpu, u8 vector)
{
	send(cpu, APIC_DM_FIXED | vector);
}

void eli_apic_send_nmi(int cpu)
{
	send(cpu, APIC_DM_NMI);
}
