// SPDX-License-Identifier: GPL-2.0
/*
 * Intervals with two passes, invalidate_start and invalidate_finish: contract
 * [22] throughout, see mmu_notifier_kunit.h.
 */
#include <linux/mm.h>

#include "mmu_notifier_kunit.h"

static struct mnk_ivl *page_ivl(struct mnk_ctx *ctx)
{
	struct mnk_ivl *ivl = mnk_ivl_two_pass(ctx);

	mnk_insert(ivl, ctx->mm, MNK_BASE, PAGE_SIZE);
	return ivl;
}

static void invalidate_page(struct mnk_ctx *ctx)
{
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
}

/* invalidate_start is preferred to invalidate, which is set as well. */
static void start_both_ops_set_calls_two_passes(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_START, ivl), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_FINISH, ivl), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&ivl->finish[0].finished), 1);
}

static void start_without_finish_object_is_not_finished(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *none = page_ivl(ctx), *some = page_ivl(ctx);

	none->no_finish = true;
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_START, none), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_FINISH, none), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_START, some), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_FINISH, some), 1);
}

/* All finishes come after all starts, in the order of the starts, once. */
static void start_several_finish_in_start_order(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	const int nr = MNK_FINISHES;
	int i;

	for (i = 0; i < nr; i++)
		page_ivl(ctx);
	invalidate_page(ctx);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_START, NULL), nr);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_FINISH, NULL), nr);
	KUNIT_EXPECT_LT(test,
			mnk_pos(ctx, MNK_INVALIDATE_START, NULL, nr - 1),
			mnk_pos(ctx, MNK_INVALIDATE_FINISH, NULL, 0));
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_PTR_EQ(test,
				    mnk_call(ctx, MNK_INVALIDATE_START, NULL,
					     i)->who,
				    mnk_call(ctx, MNK_INVALIDATE_FINISH, NULL,
					     i)->who);
}

/* One-pass intervals are called before any finish, wherever they are. */
static void start_mixed_with_one_pass_finishes_last(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	int first_finish, i;

	for (i = 0; i < 6; i++) {
		if (i & 1)
			mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
		else
			page_ivl(ctx);
	}
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, NULL), 3);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_START, NULL), 3);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_FINISH, NULL), 3);
	first_finish = mnk_pos(ctx, MNK_INVALIDATE_FINISH, NULL, 0);
	KUNIT_EXPECT_LT(test, mnk_pos(ctx, MNK_INVALIDATE, NULL, 2),
			first_finish);
	KUNIT_EXPECT_LT(test, mnk_pos(ctx, MNK_INVALIDATE_START, NULL, 2),
			first_finish);
}

/* [2] both passes are over when the first whole-mm subscriber hears. */
static void start_finishes_before_whole_mm(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mnk_ivl *ivl = page_ivl(ctx);

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_FINISH, ivl), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_LT(test, mnk_pos(ctx, MNK_INVALIDATE_FINISH, ivl, 0),
			mnk_pos(ctx, MNK_START, sub, 0));
}

static void start_miss_calls_no_pass(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;

	page_ivl(ctx);
	mnk_invalidate(ctx->mm, MNK_BASE + PAGE_SIZE, MNK_BASE + SZ_1M);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

/* A collision is a collision in two passes, too. */
static void start_hit_collides_with_reader(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	unsigned long seq = mnk_read_begin(ivl);
	struct mmu_notifier_range range;
	struct mnk_task *reader;

	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
	reader = mnk_spawn(ctx, mnk_do_read_begin, ivl);
	mnk_expect_blocked(ctx, reader);
	mnk_end(&range);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, mnk_join(ctx, reader)));
}

/*
 * One of three refuses, each in turn: whoever started is finished, in the
 * order of the starts and exactly once; who refused is not finished.
 */
static void nonblock_refused_finishes_what_started(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	unsigned int finishes, total = 0;
	struct mnk_ivl *ivl[3];
	int i, j, nth;

	for (i = 0; i < ARRAY_SIZE(ivl); i++)
		ivl[i] = page_ivl(ctx);
	for (i = 0; i < ARRAY_SIZE(ivl); i++) {
		mnk_forget(ctx);
		ivl[i]->refuse = true;
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				mnk_invalidate_nonblock(ctx->mm, MNK_BASE,
							MNK_BASE + PAGE_SIZE));
		ivl[i]->refuse = false;

		KUNIT_EXPECT_EQ(test, 1, mnk_count(ctx, MNK_INVALIDATE_START,
						   ivl[i]));
		finishes = mnk_count(ctx, MNK_INVALIDATE_FINISH, NULL);
		total += finishes;
		KUNIT_EXPECT_EQ(test, finishes + 1,
				mnk_count(ctx, MNK_INVALIDATE_START, NULL));
		for (j = 0, nth = 0; j < finishes; j++, nth++) {
			const void *who = mnk_call(ctx, MNK_INVALIDATE_START,
						   NULL, nth)->who;

			if (who == ivl[i])
				who = mnk_call(ctx, MNK_INVALIDATE_START, NULL,
					       ++nth)->who;
			KUNIT_EXPECT_PTR_EQ(test, who,
					    mnk_call(ctx, MNK_INVALIDATE_FINISH,
						     NULL, j)->who);
		}
	}
	KUNIT_EXPECT_GE(test, total, 1);
	for (i = 0; i < ARRAY_SIZE(ivl); i++) {
		for (j = 0; j < MNK_FINISHES; j++) {
			struct mnk_finish *fin = &ivl[i]->finish[j];

			KUNIT_EXPECT_EQ(test, atomic_read(&fin->finished),
					j < atomic_read(&ivl[i]->next_finish));
		}
	}
}

static void nonblock_accepted_finishes_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);

	KUNIT_EXPECT_EQ(test, 0,
			mnk_invalidate_nonblock(ctx->mm, MNK_BASE,
						MNK_BASE + PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_START, ivl), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_FINISH, ivl), 1);
}

/* Two tasks in one object at a time, each with a finish of its own. */
static void start_in_two_tasks_finishes_each_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	struct mnk_section *section;
	struct mnk_task *task[2];
	int i;

	mnk_gate_arm(&ivl->gate, MNK_INVALIDATE_START);
	for (i = 0; i < ARRAY_SIZE(task); i++) {
		section = mnk_section(ctx, ctx->mm, MNK_BASE,
				      MNK_BASE + PAGE_SIZE);
		task[i] = mnk_spawn(ctx, mnk_do_section, section);
	}
	for (i = 0; i < ARRAY_SIZE(task); i++)
		mnk_gate_entered(ctx, &ivl->gate);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_FINISH, ivl), 0);
	mnk_gate_open(&ivl->gate);
	for (i = 0; i < ARRAY_SIZE(task); i++)
		mnk_join(ctx, task[i]);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_START, ivl), 2);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_FINISH, ivl), 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&ivl->finish[0].finished), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&ivl->finish[1].finished), 1);
}

/* RELEASE goes through both passes before ->release. */
static void exit_finishes_before_whole_mm_release(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_ivl *ivl = mnk_ivl_two_pass(ctx);

	mnk_insert(ivl, mm->mm, mm->addr, PAGE_SIZE);
	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_START, ivl), 2);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE_FINISH, ivl), 2);
	KUNIT_EXPECT_EQ(test, MMU_NOTIFY_RELEASE,
			mnk_call(ctx, MNK_INVALIDATE_START, ivl, 0)->event);
	KUNIT_EXPECT_LT(test, mnk_pos(ctx, MNK_INVALIDATE_FINISH, ivl, 0),
			mnk_pos(ctx, MNK_RELEASE, sub, 0));
	KUNIT_EXPECT_GT(test, mnk_pos(ctx, MNK_INVALIDATE_START, ivl, 1),
			mnk_pos(ctx, MNK_RELEASE, sub, 0));
}

static struct kunit_case mmu_notifier_twopass_cases[] = {
	KUNIT_CASE(start_both_ops_set_calls_two_passes),
	KUNIT_CASE(start_without_finish_object_is_not_finished),
	KUNIT_CASE(start_several_finish_in_start_order),
	KUNIT_CASE(start_mixed_with_one_pass_finishes_last),
	KUNIT_CASE(start_finishes_before_whole_mm),
	KUNIT_CASE(start_miss_calls_no_pass),
	KUNIT_CASE(start_hit_collides_with_reader),
	KUNIT_CASE(start_in_two_tasks_finishes_each_once),
	KUNIT_CASE(nonblock_refused_finishes_what_started),
	KUNIT_CASE(nonblock_accepted_finishes_once),
	KUNIT_CASE(exit_finishes_before_whole_mm_release),
	{}
};

static struct kunit_suite mmu_notifier_twopass_suite = {
	.name = "mmu_notifier_twopass",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_twopass_cases,
};

kunit_test_suite(mmu_notifier_twopass_suite);

MODULE_DESCRIPTION("KUnit tests of two-pass MMU interval notifiers");
MODULE_LICENSE("GPL");
