// SPDX-License-Identifier: GPL-2.0
/*
 * Failure reports of the MMU notifier torture test.
 */

#include <linux/printk.h>

#include "torture.h"

atomic_t mntort_errors;

#define MNTORT_REPORTS	8
static char mntort_first[384];

static void mntort_describe(char *buf, size_t size)
{
	struct mntort_thread *th = mntort_self();
	struct mntort_section *sec = th ? th->cur : NULL;
	int len;

	if (!sec && th && th->depth)
		sec = &th->sec[th->depth - 1];
	len = scnprintf(buf, size, "; thread=%s op=%s slot=%d",
			th ? th->name : current->comm,
			th ? th->op : "?", th ? th->where : -1);
	if (sec)
		scnprintf(buf + len, size - len,
			  " section={mm=%d#%lu pages=%ld-%ld event=%d %s depth=%d}",
			  sec->m->slot->index, sec->m->id,
			  (long)(sec->start - MNTORT_BASE) / (long)PAGE_SIZE,
			  (long)(sec->end - MNTORT_BASE) / (long)PAGE_SIZE,
			  sec->event, sec->blockable ? "block" : "nonblock",
			  th->depth);
}

/**
 * mntort_fail - record a failure
 * @fmt: rule, who, expected and got
 *
 * The first failure is kept for the end of the test; it also ends the test
 * early, because a core that has failed once may well crash next.
 *
 * Context: any.
 */
void mntort_fail(const char *fmt, ...)
{
	char what[160], where[192];
	int nr = atomic_inc_return(&mntort_errors);
	va_list args;

	if (nr > MNTORT_REPORTS)
		return;
	va_start(args, fmt);
	vscnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	mntort_describe(where, sizeof(where));
	pr_alert("mmu_notifier-torture:!!! %s%s\n", what, where);
	if (nr == 1) {
		scnprintf(mntort_first, sizeof(mntort_first), "%s%s", what,
			  where);
		dump_stack();
	}
}

/* Repeats the first failure next to the verdict. */
void mntort_print_first_failure(void)
{
	pr_alert("mmu_notifier-torture: first failure: %s\n", mntort_first);
}
