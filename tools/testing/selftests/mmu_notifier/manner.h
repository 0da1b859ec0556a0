/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The manners in which the device mirrors an address space, and what they
 * differ in as seen from here.
 */
#ifndef SELFTEST_MMU_NOTIFIER_MANNER_H
#define SELFTEST_MMU_NOTIFIER_MANNER_H

#include <stdbool.h>

#include <lib/test_mmu_notifier_uapi.h>

struct manner {
	const char *name;
	enum tmn_manner manner;
	unsigned int flags;		/* of struct tmn_mirror */
	enum tmn_callback teardown;	/* the callback that drops ptes */
	bool ends;			/* each of them is paired with an end */
	bool ages;			/* it has young bits to report */
	bool holds;			/* it has references to pages */
	bool attaches;			/* other processes can attach to it */
};

extern const struct manner manner_kvm;
extern const struct manner manner_kvm_holding;
extern const struct manner manner_gru;
extern const struct manner manner_xpmem;

/* By name; NULL if there is none of that name */
const struct manner *manner_find(const char *name);

#endif /* SELFTEST_MMU_NOTIFIER_MANNER_H */
