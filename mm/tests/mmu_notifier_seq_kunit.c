// SPDX-License-Identifier: GPL-2.0
/*
 * The collision-retry scheme of interval subscribers: read_begin, read_retry,
 * check_retry and set_seq. Numbers in brackets are contracts, see
 * mmu_notifier_kunit.h.
 */
#include <linux/mm.h>

#include "mmu_notifier_kunit.h"

#define UNRELATED	(MNK_BASE + SZ_16M)
#define MANY		16

static void invalidate_page(struct mnk_ctx *ctx, unsigned long addr)
{
	mnk_invalidate(ctx->mm, addr, addr + PAGE_SIZE);
}

static struct mnk_ivl *page_ivl(struct mnk_ctx *ctx)
{
	return mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
}

static bool seq_is_sane(unsigned long seq)
{
	return (seq & 1) && seq != ULONG_MAX && seq != LONG_MAX;
}

/* [20] odd, small, no sentinel. */
static void read_begin_idle_returns_small_odd(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	unsigned long seq = mnk_read_begin(ivl);

	KUNIT_EXPECT_TRUE(test, seq_is_sane(seq));
	KUNIT_EXPECT_LT(test, seq, SHRT_MAX);
	KUNIT_EXPECT_EQ(test, seq, ivl->mni.invalidate_seq);
	KUNIT_EXPECT_FALSE(test, mmu_interval_check_retry(&ivl->mni, seq));
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
}

static void read_retry_after_hit_is_true(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	unsigned long seq = mnk_read_begin(ivl);

	invalidate_page(ctx, MNK_BASE);
	KUNIT_EXPECT_TRUE(test, mmu_interval_check_retry(&ivl->mni, seq));
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));

	seq = mnk_read_begin(ivl);
	KUNIT_EXPECT_TRUE(test, seq_is_sane(seq));
	KUNIT_EXPECT_FALSE(test, mmu_interval_check_retry(&ivl->mni, seq));
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
}

/* It collides from the start of the section on, not from its end. */
static void read_retry_in_open_section_is_true(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	unsigned long seq = mnk_read_begin(ivl);
	struct mmu_notifier_range range;

	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, mmu_interval_check_retry(&ivl->mni, seq));
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
	mnk_end(&range);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
}

/* [20] i915 compares over time: only a hit changes the number. */
static void read_retry_after_unrelated_is_false(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_ivl *ivl = page_ivl(ctx);
	struct mnk_ivl *other = mnk_ivl_on(ctx, ctx->mm, UNRELATED, PAGE_SIZE);
	unsigned long seq = mnk_read_begin(ivl);
	int i;

	for (i = 0; i < MANY; i++) {
		invalidate_page(ctx, UNRELATED);
		invalidate_page(ctx, UNRELATED + PAGE_SIZE);
		mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, ivl->mni.invalidate_seq, seq);
	}
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, other), MANY);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
	KUNIT_EXPECT_EQ(test, mnk_read_begin(ivl), seq);
}

/* [20] odd, no sentinel, and another one for each section. */
static void set_seq_each_section_is_unique(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	unsigned long seq[MANY];
	int i, j;

	for (i = 0; i < MANY; i++) {
		invalidate_page(ctx, MNK_BASE);
		seq[i] = mnk_call(ctx, MNK_INVALIDATE, ivl, i)->seq;
		KUNIT_EXPECT_TRUE(test, seq_is_sane(seq[i]));
		KUNIT_EXPECT_EQ(test, ivl->mni.invalidate_seq, seq[i]);
		KUNIT_EXPECT_EQ(test, mnk_read_begin(ivl), seq[i]);
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_NE(test, seq[j], seq[i]);
	}
}

/* Two intervals that one section hits see one number. */
static void set_seq_in_one_section_is_common(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *one = page_ivl(ctx), *two = page_ivl(ctx);

	invalidate_page(ctx, MNK_BASE);
	KUNIT_EXPECT_EQ(test, mnk_call(ctx, MNK_INVALIDATE, one, 0)->seq,
			mnk_call(ctx, MNK_INVALIDATE, two, 0)->seq);
}

/* [20] [21] the number is the driver's to set; some events it may ignore. */
static void set_seq_skipped_is_no_collision(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	unsigned long seq = mnk_read_begin(ivl);
	int i;

	ivl->skip_seq = true;
	for (i = 0; i < MANY; i++)
		invalidate_page(ctx, MNK_BASE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), MANY);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
	KUNIT_EXPECT_EQ(test, mnk_read_begin(ivl), seq);

	ivl->skip_seq = false;
	invalidate_page(ctx, MNK_BASE);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
}

/* [20] xe takes two away to force a retry; the next reader copes. */
static void set_seq_by_driver_forces_retry(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	unsigned long seq;

	invalidate_page(ctx, MNK_BASE);
	seq = mnk_read_begin(ivl);
	mutex_lock(&ivl->lock);
	mmu_interval_set_seq(&ivl->mni, seq - 2);
	mutex_unlock(&ivl->lock);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));

	seq = mnk_read_begin(ivl);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
	invalidate_page(ctx, MNK_BASE);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
}

/* The reader waits for the end, and then does not collide with it. */
static void read_begin_in_hitting_section_waits(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	struct mmu_notifier_range range;
	struct mnk_task *reader;
	unsigned long seq;

	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	reader = mnk_spawn(ctx, mnk_do_read_begin, ivl);
	mnk_expect_blocked(ctx, reader);
	mnk_end(&range);
	seq = mnk_join(ctx, reader);
	KUNIT_EXPECT_TRUE(test, seq_is_sane(seq));
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
}

static void read_begin_several_readers_all_wake(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_task *reader[4];
	struct mnk_ivl *ivl[2];
	struct mmu_notifier_range range;
	unsigned long seq;
	int i;

	ivl[0] = page_ivl(ctx);
	ivl[1] = page_ivl(ctx);
	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(reader); i++)
		reader[i] = mnk_spawn(ctx, mnk_do_read_begin, ivl[i & 1]);
	for (i = 0; i < ARRAY_SIZE(reader); i++)
		mnk_expect_blocked(ctx, reader[i]);
	mnk_end(&range);
	for (i = 0; i < ARRAY_SIZE(reader); i++) {
		seq = mnk_join(ctx, reader[i]);
		KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl[i & 1], seq));
	}
}

static void read_begin_in_unrelated_section_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *other = mnk_ivl_on(ctx, ctx->mm, UNRELATED, PAGE_SIZE);
	struct mnk_ivl *ivl = page_ivl(ctx);
	struct mmu_notifier_range range;
	unsigned long seq;

	mnk_start(&range, ctx->mm, UNRELATED, UNRELATED + PAGE_SIZE);
	seq = mnk_read_begin(ivl);
	mnk_end(&range);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, other), 1);
	KUNIT_EXPECT_TRUE(test, seq_is_sane(seq));
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
}

/* The inner section ends, the outer one is open still: no reader yet. */
static void read_begin_in_nested_sections_waits_for_outer(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	struct mmu_notifier_range outer, inner;
	struct mnk_task *reader;

	mnk_start(&outer, ctx->mm, MNK_BASE, MNK_BASE + SZ_1M);
	mnk_start(&inner, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	reader = mnk_spawn(ctx, mnk_do_read_begin, ivl);
	mnk_end(&inner);
	mnk_expect_blocked(ctx, reader);
	mnk_end(&outer);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, mnk_join(ctx, reader)));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 2);
}

/* [21] two tasks: whichever of the sections ends first, wait for both. */
static void read_begin_in_parallel_sections_waits_for_both(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	struct mnk_section *section[2];
	struct mnk_task *task[2], *reader;
	unsigned long seq;
	int i;

	for (i = 0; i < ARRAY_SIZE(section); i++) {
		section[i] = mnk_section(ctx, ctx->mm, MNK_BASE,
					 MNK_BASE + PAGE_SIZE);
		mnk_gate_arm(&section[i]->hold, MNK_HOLD);
		task[i] = mnk_spawn(ctx, mnk_do_section, section[i]);
		mnk_gate_entered(ctx, &section[i]->hold);
	}
	reader = mnk_spawn(ctx, mnk_do_read_begin, ivl);
	mnk_gate_open(&section[0]->hold);
	mnk_join(ctx, task[0]);
	mnk_expect_blocked(ctx, reader);
	mnk_gate_open(&section[1]->hold);
	mnk_join(ctx, task[1]);
	seq = mnk_join(ctx, reader);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 2);
}

/* A reader that began before the section: it has to go round once more. */
static void read_retry_when_section_runs_in_between_is_true(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	unsigned long seq = mnk_read_begin(ivl);
	struct mnk_task *task;

	mnk_gate_arm(&ivl->gate, MNK_INVALIDATE);
	task = mnk_spawn(ctx, mnk_do_section, section);
	mnk_gate_entered(ctx, &ivl->gate);
	mnk_gate_open(&ivl->gate);
	mnk_join(ctx, task);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
}

static unsigned long read_begin_mmap_locked(void *arg)
{
	struct mnk_ivl *ivl = arg;
	unsigned long seq;

	mmap_write_lock(ivl->ctx->mm);
	seq = mnk_do_read_begin(ivl);
	mmap_write_unlock(ivl->ctx->mm);
	return seq;
}

/* [16] gntdev calls it with mmap_lock held for write. */
static void read_begin_mmap_lock_held_waits_for_section(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	struct mmu_notifier_range range;
	struct mnk_task *reader;
	unsigned long seq;

	seq = mnk_run(ctx, read_begin_mmap_locked, ivl);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));

	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	reader = mnk_spawn(ctx, read_begin_mmap_locked, ivl);
	mnk_expect_blocked(ctx, reader);
	mnk_end(&range);
	seq = mnk_join(ctx, reader);
	KUNIT_EXPECT_TRUE(test, seq_is_sane(seq));
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
}

/* A section that nobody refused and that nobody waited for: nothing stays. */
static void read_begin_after_nonblock_section_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	unsigned long seq = mnk_read_begin(ivl);

	KUNIT_EXPECT_EQ(test, 0, mnk_invalidate_nonblock(ctx->mm, MNK_BASE,
							 MNK_BASE + PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
	seq = mnk_read_begin(ivl);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
}

static struct kunit_case mmu_notifier_seq_cases[] = {
	KUNIT_CASE(read_begin_idle_returns_small_odd),
	KUNIT_CASE(read_retry_after_hit_is_true),
	KUNIT_CASE(read_retry_in_open_section_is_true),
	KUNIT_CASE(read_retry_after_unrelated_is_false),
	KUNIT_CASE(read_retry_when_section_runs_in_between_is_true),
	KUNIT_CASE(set_seq_each_section_is_unique),
	KUNIT_CASE(set_seq_in_one_section_is_common),
	KUNIT_CASE(set_seq_skipped_is_no_collision),
	KUNIT_CASE(set_seq_by_driver_forces_retry),
	KUNIT_CASE(read_begin_in_hitting_section_waits),
	KUNIT_CASE(read_begin_several_readers_all_wake),
	KUNIT_CASE(read_begin_in_unrelated_section_returns),
	KUNIT_CASE(read_begin_in_nested_sections_waits_for_outer),
	KUNIT_CASE(read_begin_in_parallel_sections_waits_for_both),
	KUNIT_CASE(read_begin_mmap_lock_held_waits_for_section),
	KUNIT_CASE(read_begin_after_nonblock_section_returns),
	{}
};

static struct kunit_suite mmu_notifier_seq_suite = {
	.name = "mmu_notifier_seq",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_seq_cases,
};

kunit_test_suite(mmu_notifier_seq_suite);

MODULE_DESCRIPTION("KUnit tests of MMU interval notifier sequences");
MODULE_LICENSE("GPL");
