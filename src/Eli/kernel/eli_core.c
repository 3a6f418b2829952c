// SPDX-License-Identifier: GPL-2.0
/* ELI's part of kvm.ko: the place where the vendor module says what it can do. */
#include <linux/export.h>
#include "eli.h"

struct eli_ops *kvm_eli_ops;
EXPORT_SYMBOL_GPL(kvm_eli_ops);
