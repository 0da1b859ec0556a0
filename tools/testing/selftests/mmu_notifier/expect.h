/* SPDX-License-Identifier: GPL-2.0 */
/* What a device must hear of an operation, and whether it did. */
#ifndef SELFTEST_MMU_NOTIFIER_EXPECT_H
#define SELFTEST_MMU_NOTIFIER_EXPECT_H

#include "scene.h"

/* The kernel's enum mmu_notifier_event */
enum event {
	EVENT_UNMAP,
	EVENT_CLEAR,
	EVENT_PROTECTION_VMA,
	EVENT_PROTECTION_PAGE,
	EVENT_SOFT_DIRTY,
	EVENT_RELEASE,
	EVENT_MIGRATE,
	EVENT_EXCLUSIVE,
};

enum rule {
	RULE_EXACT,	/* one section of exactly these pages */
	RULE_HUGE,	/* one of exactly the huge page that they lie in */
	RULE_EACH,	/* one section for each page, of exactly this page */
	RULE_COVER,	/* sections that together contain them */
	RULE_RELEASE,	/* the end of the whole address space */
	RULE_AGE,	/* young bits are asked for, page by page */
	RULE_SILENT,	/* nothing: no access is taken away */
};

/**
 * struct expect - what an operation must cause
 * @rule: how the callbacks' ranges relate to the pages
 * @event: of the callbacks
 * @first: the first page that is concerned
 * @nr: the number of pages concerned; 0 if only scene->moved knows
 * @locks: TMN_LOCK_* that must all be held in the callbacks
 * @one_of: TMN_LOCK_* of which one must be held, unless 0
 * @age: the callback that asks for young bits, with RULE_AGE
 * @nonblock: the callbacks must not sleep; a device that has to refuses
 * @keeps: no access is taken away, with RULE_AGE
 */
struct expect {
	enum rule rule;
	enum event event;
	unsigned int first;
	unsigned int nr;
	unsigned int locks;
	unsigned int one_of;
	enum tmn_callback age;
	bool nonblock;
	bool keeps;
};

/* For people to read */
struct heard {
	bool announced;
	char callbacks[48];
	char range[32];
};

/*
 * Judge what was heard: @before and @after are the states of the device's
 * ptes around the operation.
 */
enum outcome expect_judge(struct scene *s, const struct expect *expect,
			  const struct log *log,
			  const struct tmn_check *before,
			  const struct tmn_check *after,
			  struct heard *heard);

#endif /* SELFTEST_MMU_NOTIFIER_EXPECT_H */
