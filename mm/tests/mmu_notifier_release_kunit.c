// SPDX-License-Identifier: GPL-2.0
/*
 * The end of an mm: ->release, the RELEASE event, and what may still be called
 * after them. Numbers in brackets are contracts, see mmu_notifier_kunit.h.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "mmu_notifier_kunit.h"

/* [8] once, may sleep, and before any page of the mm is freed. */
static void exit_last_user_releases_before_pages_go(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	const struct mnk_call *call;

	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	call = mnk_call(ctx, MNK_RELEASE, sub, 0);
	KUNIT_EXPECT_PTR_EQ(test, call->mm, mm->mm);
	KUNIT_EXPECT_TRUE(test, call->may_sleep);
	KUNIT_EXPECT_TRUE(test, call->in_task);
	KUNIT_EXPECT_EQ(test, call->mapcount, 1);
	KUNIT_EXPECT_EQ(test, folio_mapcount(page_folio(mm->page)), 0);
}

static void exit_not_last_user_releases_nothing(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, mm->addr, PAGE_SIZE);

	mmget(mm->mm);
	mmput(mm->mm);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	KUNIT_EXPECT_GE(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
}

/* All of them, however many; one without the operation is no obstacle. */
static void exit_last_user_releases_everybody_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub[4];
	int i;

	for (i = 0; i < ARRAY_SIZE(sub); i++) {
		sub[i] = mnk_sub(ctx);
		if (i == 1)
			sub[i]->ops.release = NULL;
		mnk_register(sub[i], mm->mm);
	}
	mnk_mmput(ctx, mm);
	for (i = 0; i < ARRAY_SIZE(sub); i++)
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub[i]),
				i != 1);
}

/* [9] unregister after exit is legal, [8] [10] and does not release again. */
static void unregister_after_exit_releases_no_more(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);

	mnk_mmput(ctx, mm);
	mnk_unregister(sub);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	KUNIT_EXPECT_PTR_EQ(test, sub->mn.mm, mm->mm);
}

static void exit_after_unregister_releases_no_more(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);

	mnk_unregister(sub);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 1);
}

/* [6] the mm still unmaps everything, but nobody is told. */
static void exit_whole_mm_hears_nothing_after_release(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);

	mnk_mmput(ctx, mm);
	mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	mmu_notifier_clear_young(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 1);
}

/* [7] blockable, and the whole address space. */
static void exit_interval_hears_release_of_everything(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, mm->addr, PAGE_SIZE);
	const struct mnk_call *call;

	mnk_mmput(ctx, mm);
	call = mnk_call(ctx, MNK_INVALIDATE, ivl, 0);
	KUNIT_EXPECT_EQ(test, call->event, MMU_NOTIFY_RELEASE);
	KUNIT_EXPECT_PTR_EQ(test, call->mm, mm->mm);
	KUNIT_EXPECT_EQ(test, call->start, 0);
	KUNIT_EXPECT_EQ(test, call->end, ULONG_MAX);
	KUNIT_EXPECT_TRUE(test, call->blockable);
	KUNIT_EXPECT_TRUE(test, call->may_sleep);
	KUNIT_EXPECT_TRUE(test, call->seq & 1);
	KUNIT_EXPECT_EQ(test, call->mapcount, 1);
}

/* [6] hfi1 and KFD ignore RELEASE and live on the UNMAP that follows. */
static void exit_interval_hears_unmap_after_release(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, mm->addr, PAGE_SIZE);
	const struct mnk_call *release, *unmap;

	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 2);
	release = mnk_call(ctx, MNK_INVALIDATE, ivl, 0);
	unmap = mnk_call(ctx, MNK_INVALIDATE, ivl, 1);
	KUNIT_EXPECT_EQ(test, release->event, MMU_NOTIFY_RELEASE);
	KUNIT_EXPECT_EQ(test, unmap->event, MMU_NOTIFY_UNMAP);
	KUNIT_EXPECT_LE(test, unmap->start, mm->addr);
	KUNIT_EXPECT_GE(test, unmap->end, mm->addr + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, unmap->mapcount, 1);
	KUNIT_EXPECT_NE(test, unmap->seq, release->seq);
}

/* An interval over nothing that is mapped hears RELEASE all the same. */
static void exit_interval_anywhere_hears_release(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_ivl *ivl[3];
	int i;

	ivl[0] = mnk_ivl_on(ctx, mm->mm, 0, 1);
	ivl[1] = mnk_ivl_on(ctx, mm->mm, MNK_BASE, PAGE_SIZE);
	ivl[2] = mnk_ivl_on(ctx, mm->mm, ULONG_MAX - PAGE_SIZE, PAGE_SIZE);
	mnk_mmput(ctx, mm);
	for (i = 0; i < ARRAY_SIZE(ivl); i++)
		KUNIT_EXPECT_EQ(test, MMU_NOTIFY_RELEASE,
				mnk_call(ctx, MNK_INVALIDATE, ivl[i], 0)->
				event);
}

/* [2] intervals first, here as in a section. */
static void exit_intervals_hear_before_whole_mm(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, mm->addr, PAGE_SIZE);

	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, MMU_NOTIFY_RELEASE,
			mnk_call(ctx, MNK_INVALIDATE, ivl, 0)->event);
	KUNIT_EXPECT_LT(test, mnk_pos(ctx, MNK_INVALIDATE, ivl, 0),
			mnk_pos(ctx, MNK_RELEASE, sub, 0));
}

static void read_and_remove(struct mnk_sub *sub)
{
	struct mnk_ivl *ivl = sub->data;
	unsigned long seq = mnk_do_read_begin(ivl);

	KUNIT_EXPECT_TRUE(sub->ctx->test, seq & 1);
	KUNIT_EXPECT_FALSE(sub->ctx->test, mnk_read_retry(ivl, seq));
	mnk_do_remove(ivl);
	ivl->inserted = false;
}

/*
 * [2] the interval side is finished before ->release: the release of KFD
 * cancels workers that may wait in read_begin, and removes intervals.
 */
static void exit_release_may_read_and_remove_interval(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, mm->addr, PAGE_SIZE);

	sub->on_release = read_and_remove;
	sub->data = ivl;
	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	KUNIT_EXPECT_FALSE(test, ivl->inserted);
}

/* [9] none of it needs the mm to have users. */
static void remove_after_exit_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, mm->addr, PAGE_SIZE);
	struct mnk_ivl *other = mnk_ivl_on(ctx, mm->mm, mm->addr, PAGE_SIZE);

	mnk_mmput(ctx, mm);
	mnk_forget(ctx);
	mnk_remove(ivl);
	mnk_invalidate(mm->mm, mm->addr, mm->addr + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, other), 1);
}

static void read_begin_after_exit_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, mm->addr, PAGE_SIZE);
	unsigned long before = mnk_read_begin(ivl);
	unsigned long after;

	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, before));
	after = mnk_read_begin(ivl);
	KUNIT_EXPECT_TRUE(test, after & 1);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, after));
}

/* [9] a kworker may drop the last user. */
static void exit_from_kworker_releases(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, mm->addr, PAGE_SIZE);

	mnk_gate_arm(&sub->gate, MNK_RELEASE);
	mm->live = false;
	mmput_async(mm->mm);
	mnk_gate_entered(ctx, &sub->gate);
	KUNIT_EXPECT_EQ(test, folio_mapcount(page_folio(mm->page)), 1);
	mnk_gate_open(&sub->gate);
	mnk_unregister(sub);
	KUNIT_EXPECT_EQ(test, MMU_NOTIFY_RELEASE,
			mnk_call(ctx, MNK_INVALIDATE, ivl, 0)->event);
	KUNIT_EXPECT_GE(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
}

/*
 * [8] Exit waits for a ->release that an unregister is already running: no
 * page may go while it runs.
 */
static void exit_during_unregister_waits_for_release(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_task *unregister, *exit;

	mnk_gate_arm(&sub->gate, MNK_RELEASE);
	sub->registered = false;
	unregister = mnk_spawn(ctx, mnk_do_unregister, sub);
	mnk_gate_entered(ctx, &sub->gate);
	mm->live = false;
	exit = mnk_spawn(ctx, mnk_do_mmput, mm->mm);
	mnk_expect_blocked(ctx, exit);
	KUNIT_EXPECT_EQ(test, folio_mapcount(page_folio(mm->page)), 1);
	mnk_gate_open(&sub->gate);
	mnk_join(ctx, exit);
	mnk_join(ctx, unregister);
	KUNIT_EXPECT_EQ(test, folio_mapcount(page_folio(mm->page)), 0);
}

/* [8] [10] and the other way round: unregister waits for exit's release. */
static void unregister_during_exit_waits_for_release(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_task *unregister, *exit;

	mnk_gate_arm(&sub->gate, MNK_RELEASE);
	mm->live = false;
	exit = mnk_spawn(ctx, mnk_do_mmput, mm->mm);
	mnk_gate_entered(ctx, &sub->gate);
	sub->registered = false;
	unregister = mnk_spawn(ctx, mnk_do_unregister, sub);
	mnk_expect_blocked(ctx, unregister);
	KUNIT_EXPECT_EQ(test, folio_mapcount(page_folio(mm->page)), 1);
	mnk_gate_open(&sub->gate);
	mnk_join(ctx, unregister);
	mnk_join(ctx, exit);
	KUNIT_EXPECT_EQ(test, folio_mapcount(page_folio(mm->page)), 0);
}

static struct kunit_case mmu_notifier_release_cases[] = {
	KUNIT_CASE(exit_last_user_releases_before_pages_go),
	KUNIT_CASE(exit_not_last_user_releases_nothing),
	KUNIT_CASE(exit_last_user_releases_everybody_once),
	KUNIT_CASE(unregister_after_exit_releases_no_more),
	KUNIT_CASE(exit_after_unregister_releases_no_more),
	KUNIT_CASE(exit_whole_mm_hears_nothing_after_release),
	KUNIT_CASE(exit_interval_hears_release_of_everything),
	KUNIT_CASE(exit_interval_hears_unmap_after_release),
	KUNIT_CASE(exit_interval_anywhere_hears_release),
	KUNIT_CASE(exit_intervals_hear_before_whole_mm),
	KUNIT_CASE(exit_release_may_read_and_remove_interval),
	KUNIT_CASE(remove_after_exit_returns),
	KUNIT_CASE(read_begin_after_exit_returns),
	KUNIT_CASE(exit_from_kworker_releases),
	KUNIT_CASE(exit_during_unregister_waits_for_release),
	KUNIT_CASE(unregister_during_exit_waits_for_release),
	{}
};

static struct kunit_suite mmu_notifier_release_suite = {
	.name = "mmu_notifier_release",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_release_cases,
};

kunit_test_suite(mmu_notifier_release_suite);

MODULE_DESCRIPTION("KUnit tests of MMU notifier release");
MODULE_LICENSE("GPL");
