/* SPDX-License-Identifier: GPL-2.0 */
/* What mprotect_zero_child reports to mprotect_zero_test as it gets on. */
#ifndef SELFTEST_MMU_NOTIFIER_MPROTECT_ZERO_H
#define SELFTEST_MMU_NOTIFIER_MPROTECT_ZERO_H

enum step {
	STEP_MAPPED,
	STEP_MIRRORED,
	STEP_FILLED,
	STEP_PROTECTED,
	STEP_LOGGED,
	STEP_READ_AGAIN,
	STEPS,
};

struct report {
	enum step step;
	int ret;		/* 0 or a negative errno */
	/* From STEP_LOGGED on */
	unsigned int starts;
	unsigned int ends;
	unsigned int overlaps;	/* starts in a range already started */
};

#endif /* SELFTEST_MMU_NOTIFIER_MPROTECT_ZERO_H */
