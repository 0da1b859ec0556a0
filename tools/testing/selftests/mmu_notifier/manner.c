// SPDX-License-Identifier: GPL-2.0
#include <stddef.h>
#include <string.h>

#include "kselftest.h"
#include "manner.h"

const struct manner manner_kvm = {
	.name = "kvm",
	.manner = TMN_KVM,
	.teardown = TMN_RANGE_START,
	.ends = true,
	.ages = true,
};

const struct manner manner_kvm_holding = {
	.name = "kvm_holding",
	.manner = TMN_KVM,
	.flags = TMN_HOLD_PAGES,
	.teardown = TMN_RANGE_START,
	.ends = true,
	.ages = true,
	.holds = true,
};

const struct manner manner_gru = {
	.name = "gru",
	.manner = TMN_GRU,
	.teardown = TMN_RANGE_START,
	.ends = true,
};

const struct manner manner_xpmem = {
	.name = "xpmem",
	.manner = TMN_XPMEM,
	.teardown = TMN_INVALIDATE,
	.attaches = true,
	.holds = true,
};

static const struct manner * const manners[] = {
	&manner_kvm,
	&manner_kvm_holding,
	&manner_gru,
	&manner_xpmem,
};

const struct manner *manner_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(manners); i++) {
		if (!strcmp(manners[i]->name, name))
			return manners[i];
	}
	return NULL;
}
