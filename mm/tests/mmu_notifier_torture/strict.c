// SPDX-License-Identifier: GPL-2.0
/*
 * Promises of the strict contract that concern time: nobody waits for
 * strangers, and a signal does not stop a registration.
 *
 * A work item keeps a section of an mm of its own open, or keeps a callback of
 * it blocked, until it is told to go on or gives up. The torture thread then
 * does what must not wait for that, and looks who was first.
 */

#include <linux/completion.h>
#include <linux/mmap_lock.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "torture.h"

#define MNTORT_PATIENCE	(5 * HZ)

struct mntort_blocker {
	struct mmu_notifier mn;
	struct work_struct work;
	struct mntort_mm *m;
	int first;
	bool in_callback;
	struct completion entered;
	struct completion leave;
	bool gave_up;
};

static void mntort_block(struct mntort_blocker *b)
{
	complete(&b->entered);
	if (!wait_for_completion_timeout(&b->leave, MNTORT_PATIENCE))
		WRITE_ONCE(b->gave_up, true);
}

static int mntort_blocker_start(struct mmu_notifier *mn,
				const struct mmu_notifier_range *range)
{
	mntort_block(container_of(mn, struct mntort_blocker, mn));
	return 0;
}

static const struct mmu_notifier_ops mntort_blocker_ops = {
	.invalidate_range_start = mntort_blocker_start,
};

static const struct mmu_notifier_ops mntort_empty_ops = {};

static bool mntort_empty_invalidate(struct mmu_interval_notifier *in,
				    const struct mmu_notifier_range *range,
				    unsigned long cur_seq)
{
	mmu_interval_set_seq(in, cur_seq);
	return true;
}

static const struct mmu_interval_notifier_ops mntort_empty_iv_ops = {
	.invalidate = mntort_empty_invalidate,
};

static void mntort_one_section(struct mntort_mm *m, int page,
			       struct mntort_blocker *b)
{
	struct mmu_notifier_range range;

	mmap_read_lock(m->mm);
	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, m->mm,
				mntort_addr(page), mntort_addr(page + 1));
	mmu_notifier_invalidate_range_start(&range);
	if (b)
		mntort_block(b);
	mmu_notifier_invalidate_range_end(&range);
	mmap_read_unlock(m->mm);
}

static void mntort_blocker_work(struct work_struct *work)
{
	struct mntort_blocker *b =
		container_of(work, struct mntort_blocker, work);

	mntort_one_section(b->m, b->first, b->in_callback ? NULL : b);
}

static void mntort_blocker_begin(struct mntort_blocker *b)
{
	INIT_WORK_ONSTACK(&b->work, mntort_blocker_work);
	init_completion(&b->entered);
	init_completion(&b->leave);
	b->gave_up = false;
	queue_work(system_dfl_wq, &b->work);
	wait_for_completion(&b->entered);
}

static void mntort_blocker_end(struct mntort_blocker *b)
{
	complete(&b->leave);
	flush_work(&b->work);
	destroy_work_on_stack(&b->work);
}

static void mntort_check_patience(struct mntort_blocker *b, const char *who)
{
	mntort_check(!READ_ONCE(b->gave_up), "W wait: %s waits for strangers",
		     who);
}

/* Registration, unregistration and exit, while another mm is stuck. */
static void mntort_strangers(struct mntort_thread *th, struct mntort_mm *m,
			     struct mntort_mm *stuck)
{
	struct mmu_notifier mn[2] = {
		{ .ops = &mntort_empty_ops }, { .ops = &mntort_empty_ops },
	};
	struct mntort_blocker b = {
		.mn.ops = &mntort_blocker_ops, .m = stuck, .in_callback = true,
	};
	int i;

	if (mmu_notifier_register(&b.mn, stuck->mm))
		return;
	mntort_blocker_begin(&b);
	for (i = 0; i < 2; i++)
		if (mmu_notifier_register(&mn[i], m->mm))
			mntort_fail("E error: register");
	mntort_check_patience(&b, "register");
	mmu_notifier_unregister(&mn[0], m->mm);
	mntort_check_patience(&b, "unregister");
	mmput(m->mm);
	mntort_check_patience(&b, "exit");
	mntort_blocker_end(&b);
	mmu_notifier_unregister(&mn[1], m->mm);
	mmu_notifier_unregister(&b.mn, stuck->mm);
	mntort_count(strangers);
}

/* Readers and removers, while a section elsewhere in the mm stays open. */
static void mntort_bounded_reads(struct mntort_thread *th,
				 struct mntort_mm *m)
{
	struct mntort_blocker b = { .m = m, .first = MNTORT_PAGES / 2 };
	struct mmu_interval_notifier near, far;

	if (mmu_interval_notifier_insert(&near, m->mm, mntort_addr(0),
					 PAGE_SIZE, &mntort_empty_iv_ops))
		return;
	if (mmu_interval_notifier_insert(&far, m->mm, mntort_addr(b.first),
					 PAGE_SIZE, &mntort_empty_iv_ops)) {
		mmu_interval_notifier_remove(&near);
		return;
	}
	mntort_blocker_begin(&b);
	mntort_one_section(m, 0, NULL);
	mmu_interval_read_begin(&near);
	mntort_check_patience(&b, "read_begin");
	mmu_interval_notifier_remove(&near);
	mntort_check_patience(&b, "remove");
	mntort_blocker_end(&b);
	mmu_interval_notifier_remove(&far);
	mntort_count(bounded_reads);
}

/* A registration with a signal pending, of the kind a timer sends. */
static void mntort_signal(struct mntort_thread *th, struct mntort_mm *m)
{
	struct mmu_notifier mn = { .ops = &mntort_empty_ops };
	int ret;

	allow_signal(SIGUSR1);
	send_sig(SIGUSR1, current, 1);
	ret = mmu_notifier_register(&mn, m->mm);
	flush_signals(current);
	disallow_signal(SIGUSR1);
	if (mntort_check(!ret, "W wait: register with a signal: got %d", ret))
		mmu_notifier_unregister(&mn, m->mm);
	mntort_count(signals);
}

/**
 * mntort_strict_step - everything of this file once, with fresh mms
 * @th: thread
 */
void mntort_strict_step(struct mntort_thread *th)
{
	struct mntort_mm *a = mntort_mm_create(&mntort_slots[0]);
	struct mntort_mm *b = mntort_mm_create(&mntort_slots[0]);

	if (!a || !b)
		goto out;
	mntort_doing(th, "strict, signal", -1);
	mntort_signal(th, a);
	mntort_doing(th, "strict, readers", -1);
	mntort_bounded_reads(th, b);
	mntort_doing(th, "strict, strangers", -1);
	mntort_strangers(th, a, b);
	mmput(b->mm);
	mntort_mm_put(a);
	mntort_mm_put(b);
	return;
out:
	if (a) {
		mmput(a->mm);
		mntort_mm_put(a);
	}
}
