// SPDX-License-Identifier: GPL-2.0
/*
 * The life of an interval subscription: insert and remove, alone and in the
 * middle of sections. Numbers in brackets are contracts, see
 * mmu_notifier_kunit.h.
 *
 * Only an mm that has an interval already can tell a new one about a section
 * that is open, hence the anchors.
 */
#include <linux/mm.h>
#include <linux/workqueue.h>

#include "mmu_notifier_kunit.h"

#define ANCHOR		(MNK_BASE + SZ_16M)

static void invalidate_page(struct mnk_ctx *ctx)
{
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
}

static struct mnk_ivl *page_ivl(struct mnk_ctx *ctx)
{
	return mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
}

/* A section of a helper thread that stays open until its gate is opened. */
static struct mnk_task *open_section(struct mnk_ctx *ctx, unsigned long start,
				     struct mnk_section **section)
{
	struct mnk_task *task;

	*section = mnk_section(ctx, ctx->mm, start, start + PAGE_SIZE);
	mnk_gate_arm(&(*section)->hold, MNK_HOLD);
	task = mnk_spawn(ctx, mnk_do_section, *section);
	mnk_gate_entered(ctx, &(*section)->hold);
	return task;
}

/* [26] every field, out of garbage; bytes, the last one inclusive. */
static void insert_garbage_object_hears_sections(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);

	KUNIT_EXPECT_PTR_EQ(test, ivl->mni.mm, ctx->mm);
	KUNIT_EXPECT_PTR_EQ(test, ivl->mni.ops, &ivl->ops);
	KUNIT_EXPECT_EQ(test, ivl->mni.interval_tree.start, MNK_BASE);
	KUNIT_EXPECT_EQ(test, ivl->mni.interval_tree.last,
			MNK_BASE + PAGE_SIZE - 1);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 1);
}

static void insert_mmap_lock_held_hears_sections(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl[2];
	int i, ret;

	/* The first one of an mm, then one more. */
	for (i = 0; i < ARRAY_SIZE(ivl); i++) {
		ivl[i] = mnk_ivl(ctx);
		mmap_write_lock(ctx->mm);
		ret = mmu_interval_notifier_insert_locked(&ivl[i]->mni, ctx->mm,
							  MNK_BASE, PAGE_SIZE,
							  &ivl[i]->ops);
		mmap_write_unlock(ctx->mm);
		KUNIT_ASSERT_EQ(test, ret, 0);
		ivl[i]->inserted = true;
	}
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl[0]), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl[1]), 1);
}

/* Twins, and one on top of another: each hears for itself. */
static void insert_overlapping_intervals_all_hear(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *one = page_ivl(ctx);
	struct mnk_ivl *twin = page_ivl(ctx);
	struct mnk_ivl *wide = mnk_ivl_on(ctx, ctx->mm, 0, ANCHOR);

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, one), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, twin), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, wide), 1);
	mnk_remove(twin);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, one), 2);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, twin), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, wide), 2);
}

struct bad_length {
	const char *name;
	unsigned long start;
	unsigned long length;
};

static const struct bad_length bad_lengths[] = {
	{ "empty", MNK_BASE, 0 },
	{ "empty at zero", 0, 0 },
	{ "past the end by a byte", MNK_BASE, ULONG_MAX - MNK_BASE + 2 },
	{ "past the end by far", MNK_BASE, ULONG_MAX },
	{ "last byte twice", ULONG_MAX, 2 },
};

KUNIT_ARRAY_PARAM_DESC(bad_lengths, bad_lengths, name);

/* [19] as far as it goes: an error, no pin on the mm, never a callback. */
static void insert_bad_length_fails(struct kunit *test)
{
	const struct bad_length *bad = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_ivl *good = mnk_ivl_on(ctx, mm->mm, MNK_BASE, PAGE_SIZE);
	int before = atomic_read(&mm->mm->mm_count);
	struct mnk_ivl *ivl = mnk_ivl(ctx);
	int ret = 0;

	kunit_warning_suppress(test)
		ret = mmu_interval_notifier_insert(&ivl->mni, mm->mm,
						   bad->start, bad->length,
						   &ivl->ops);
	ivl->inserted = !ret;
	KUNIT_EXPECT_LT(test, ret, 0);
	KUNIT_EXPECT_NE(test, ret, -EINTR);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm->mm_count), before);
	mnk_invalidate(mm->mm, 0, ULONG_MAX);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, good), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 0);
}

/* After a failure the object is as good as new. */
static void insert_after_failure_hears_sections(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl(ctx);

	KUNIT_ASSERT_LT(test, mmu_interval_notifier_insert(&ivl->mni, ctx->mm,
							   ULONG_MAX, 2,
							   &ivl->ops), 0);
	mnk_insert(ivl, ctx->mm, MNK_BASE, PAGE_SIZE);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
}

/* [23] */
static void insert_until_remove_pins_mm(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	int before = atomic_read(&mm->mm->mm_count);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, MNK_BASE, PAGE_SIZE);

	KUNIT_EXPECT_GT(test, atomic_read(&mm->mm->mm_count), before);
	mnk_remove(ivl);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm->mm_count), before);
}

static void insert_after_remove_hears_again(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);

	mnk_remove(ivl);
	mnk_insert(ivl, ctx->mm, ANCHOR, PAGE_SIZE);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 0);
	mnk_invalidate(ctx->mm, ANCHOR, ANCHOR + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
}

/* [18] insert waits for no section; [16] read_begin is what makes it live. */
static void insert_in_hitting_section_is_live_afterwards(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *anchor = mnk_ivl_on(ctx, ctx->mm, ANCHOR, PAGE_SIZE);
	struct mnk_section *section;
	struct mnk_task *task;
	struct mnk_ivl *ivl;
	unsigned long seq;

	task = open_section(ctx, ANCHOR, &section);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, anchor), 1);
	ivl = page_ivl(ctx);
	mnk_gate_open(&section->hold);
	mnk_join(ctx, task);

	seq = mnk_read_begin(ivl);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
	invalidate_page(ctx);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, anchor), 1);
}

/* [16] the section covers the new interval: read_begin waits for its end. */
static void insert_in_covering_section_blocks_reader(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_section *section;
	struct mnk_task *task, *reader;
	struct mnk_ivl *ivl;
	unsigned long seq;

	mnk_ivl_on(ctx, ctx->mm, ANCHOR, PAGE_SIZE);
	task = open_section(ctx, MNK_BASE, &section);
	ivl = page_ivl(ctx);
	reader = mnk_spawn(ctx, mnk_do_read_begin, ivl);
	mnk_expect_blocked(ctx, reader);
	mnk_gate_open(&section->hold);
	seq = mnk_join(ctx, reader);
	mnk_join(ctx, task);

	KUNIT_EXPECT_TRUE(test, seq & 1);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
	invalidate_page(ctx);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
}

/* The same with an older interval that the section hit. */
static void insert_beside_hit_interval_blocks_reader(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_section *section;
	struct mnk_task *task, *reader;
	struct mnk_ivl *old, *new;

	old = page_ivl(ctx);
	task = open_section(ctx, MNK_BASE, &section);
	new = page_ivl(ctx);
	reader = mnk_spawn(ctx, mnk_do_read_begin, new);
	mnk_expect_blocked(ctx, reader);
	mnk_gate_open(&section->hold);
	mnk_join(ctx, reader);
	mnk_join(ctx, task);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, old), 1);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, old), 2);
	KUNIT_EXPECT_GE(test, mnk_count(ctx, MNK_INVALIDATE, new), 1);
}

static void insert_and_remove_in_one_section_leave_nothing(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *anchor = mnk_ivl_on(ctx, ctx->mm, ANCHOR, PAGE_SIZE);
	struct mmu_notifier_range range;
	struct mnk_ivl *ivl = mnk_ivl(ctx);

	mnk_start(&range, ctx->mm, ANCHOR, ANCHOR + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, mmu_interval_notifier_insert(&ivl->mni,
							      ctx->mm, MNK_BASE,
							      PAGE_SIZE,
							      &ivl->ops));
	mnk_remove(ivl);
	mnk_end(&range);
	mnk_invalidate(ctx->mm, 0, ULONG_MAX);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, anchor), 2);
}

static void remove_idle_silences(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *goes = page_ivl(ctx), *stays = page_ivl(ctx);

	mnk_remove(goes);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, goes), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, stays), 1);
	mnk_remove(stays);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 1);
}

/* [17] on return no callback runs: the object lives on a stack, say. */
static void remove_running_callback_waits(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	struct mnk_task *invalidator, *remover;

	mnk_gate_arm(&ivl->gate, MNK_INVALIDATE);
	invalidator = mnk_spawn(ctx, mnk_do_section, section);
	mnk_gate_entered(ctx, &ivl->gate);
	ivl->inserted = false;
	remover = mnk_spawn(ctx, mnk_do_remove, ivl);
	mnk_expect_blocked(ctx, remover);
	mnk_gate_open(&ivl->gate);
	mnk_join(ctx, remover);
	mnk_join(ctx, invalidator);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 1);
}

/* A section that hits it is open, its callback done: at its end, all is. */
static void remove_in_hitting_section_silences(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *goes = page_ivl(ctx), *stays = page_ivl(ctx);
	struct mnk_task *task, *remover;
	struct mnk_section *section;

	task = open_section(ctx, MNK_BASE, &section);
	goes->inserted = false;
	remover = mnk_spawn(ctx, mnk_do_remove, goes);
	/* It may return now, or when the section ends. */
	schedule_timeout_uninterruptible(MNK_PROBE);
	mnk_gate_open(&section->hold);
	mnk_join(ctx, task);
	mnk_join(ctx, remover);

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, goes), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, stays), 2);
}

/* The section is the remover's own, but it hits no interval. */
static void remove_inside_missing_section_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *goes = page_ivl(ctx), *stays = page_ivl(ctx);
	struct mmu_notifier_range range;

	mnk_start(&range, ctx->mm, ANCHOR, ANCHOR + PAGE_SIZE);
	mnk_remove(goes);
	mnk_end(&range);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, goes), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, stays), 1);
}

static unsigned long remove_mmap_locked(void *arg)
{
	struct mnk_ivl *ivl = arg;

	mmap_write_lock(ivl->ctx->mm);
	mnk_do_remove(ivl);
	mmap_write_unlock(ivl->ctx->mm);
	return 0;
}

/* [17] kfd_svm and gntdev remove with mmap_lock held for write. */
static void remove_mmap_lock_held_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);

	ivl->inserted = false;
	mnk_run(ctx, remove_mmap_locked, ivl);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

struct remove_work {
	struct work_struct work;
	struct mnk_ivl *ivl;
};

static void remove_worker(struct work_struct *work)
{
	mnk_do_remove(container_of(work, struct remove_work, work)->ivl);
}

static unsigned long flush_remove(void *arg)
{
	struct remove_work *work = arg;

	queue_work(system_dfl_wq, &work->work);
	flush_work(&work->work);
	return 0;
}

/* [9] */
static void remove_from_kworker_silences(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = page_ivl(ctx);
	struct remove_work *work;

	work = kunit_kzalloc(test, sizeof(*work), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, work);
	INIT_WORK(&work->work, remove_worker);
	work->ivl = ivl;
	ivl->inserted = false;
	mnk_run(ctx, flush_remove, work);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

static struct kunit_case mmu_notifier_interval_cases[] = {
	KUNIT_CASE(insert_garbage_object_hears_sections),
	KUNIT_CASE(insert_mmap_lock_held_hears_sections),
	KUNIT_CASE(insert_overlapping_intervals_all_hear),
	KUNIT_CASE_PARAM(insert_bad_length_fails, bad_lengths_gen_params),
	KUNIT_CASE(insert_after_failure_hears_sections),
	KUNIT_CASE(insert_until_remove_pins_mm),
	KUNIT_CASE(insert_after_remove_hears_again),
	KUNIT_CASE(insert_in_hitting_section_is_live_afterwards),
	KUNIT_CASE(insert_in_covering_section_blocks_reader),
	KUNIT_CASE(insert_beside_hit_interval_blocks_reader),
	KUNIT_CASE(insert_and_remove_in_one_section_leave_nothing),
	KUNIT_CASE(remove_idle_silences),
	KUNIT_CASE(remove_running_callback_waits),
	KUNIT_CASE(remove_in_hitting_section_silences),
	KUNIT_CASE(remove_inside_missing_section_returns),
	KUNIT_CASE(remove_mmap_lock_held_returns),
	KUNIT_CASE(remove_from_kworker_silences),
	{}
};

static struct kunit_suite mmu_notifier_interval_suite = {
	.name = "mmu_notifier_interval",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_interval_cases,
};

kunit_test_suite(mmu_notifier_interval_suite);

MODULE_DESCRIPTION("KUnit tests of MMU interval notifiers");
MODULE_LICENSE("GPL");
