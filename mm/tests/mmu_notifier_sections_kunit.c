// SPDX-License-Identifier: GPL-2.0
/*
 * Blockable sections: pairing, order, nesting, parallel sections, what of the
 * range a subscriber sees, and the sections that real operations open.
 * Numbers in brackets are contracts, see mmu_notifier_kunit.h.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/rmap.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>

#include "mmu_notifier_kunit.h"

/* [1] one start, one end, in this order. */
static void start_and_end_are_paired(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mmu_notifier_range range;

	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 0);
	mnk_end(&range);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 2);
}

/* [27] */
static void start_without_subscribers_is_silent(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub;

	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(ctx->mm));
	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(&init_mm));
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, mnk_invalidate_nonblock(ctx->mm, MNK_BASE,
							 MNK_BASE + PAGE_SIZE));
	sub = mnk_sub_on(ctx, ctx->mm);
	mnk_unregister(sub);
	mnk_forget(ctx);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, mnk_invalidate_nonblock(ctx->mm, MNK_BASE,
							 MNK_BASE + PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

struct range_fields {
	const char *name;
	enum mmu_notifier_event event;
	unsigned long start;
	unsigned long end;
};

static const struct range_fields range_fields[] = {
	{ "unmap", MMU_NOTIFY_UNMAP, MNK_BASE, MNK_BASE + PAGE_SIZE },
	{ "clear", MMU_NOTIFY_CLEAR, MNK_BASE, MNK_BASE + PMD_SIZE },
	{ "protection vma", MMU_NOTIFY_PROTECTION_VMA, 0, PAGE_SIZE },
	{ "protection page", MMU_NOTIFY_PROTECTION_PAGE, PAGE_SIZE,
	  PAGE_SIZE * 3 },
	{ "soft dirty", MMU_NOTIFY_SOFT_DIRTY, 0, ULONG_MAX },
	{ "migrate", MMU_NOTIFY_MIGRATE, MNK_BASE, MNK_BASE + PAGE_SIZE },
	{ "exclusive", MMU_NOTIFY_EXCLUSIVE, MNK_BASE, MNK_BASE + PAGE_SIZE },
};

KUNIT_ARRAY_PARAM_DESC(range_fields, range_fields, name);

/* Event, range, owner and mm arrive as given, at start, end and interval. */
static void start_range_fields_are_passed_through(struct kunit *test)
{
	static const enum mnk_op ops[] = {
		MNK_INVALIDATE, MNK_START, MNK_END,
	};
	const struct range_fields *fields = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mmu_notifier_range range;
	int i;

	mnk_ivl_on(ctx, ctx->mm, fields->start, PAGE_SIZE);
	mnk_sub_on(ctx, ctx->mm);
	mmu_notifier_range_init_owner(&range, fields->event, 0, ctx->mm,
				      fields->start, fields->end, ctx);
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		const struct mnk_call *call = mnk_call(ctx, ops[i], NULL, 0);

		KUNIT_EXPECT_EQ(test, call->event, fields->event);
		KUNIT_EXPECT_EQ(test, call->start, fields->start);
		KUNIT_EXPECT_EQ(test, call->end, fields->end);
		KUNIT_EXPECT_PTR_EQ(test, call->owner, ctx);
		KUNIT_EXPECT_PTR_EQ(test, call->mm, ctx->mm);
		KUNIT_EXPECT_TRUE(test, call->blockable);
		KUNIT_EXPECT_TRUE(test, call->may_sleep);
		/* [25] */
		KUNIT_EXPECT_TRUE(test, call->lock_map);
	}
}

/* Sections nest, and each level is announced for itself. */
static void start_nested_is_announced_inside_out(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mmu_notifier_range outer, inner;

	mnk_start(&outer, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE * 4);
	mnk_start(&inner, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	mnk_end(&inner);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	mnk_end(&outer);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 2);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 2);
	KUNIT_EXPECT_EQ(test, mnk_call(ctx, MNK_START, sub, 0)->end, outer.end);
	KUNIT_EXPECT_EQ(test, mnk_call(ctx, MNK_START, sub, 1)->end, inner.end);
	KUNIT_EXPECT_EQ(test, mnk_call(ctx, MNK_END, sub, 0)->end, inner.end);
	KUNIT_EXPECT_EQ(test, mnk_call(ctx, MNK_END, sub, 1)->end, outer.end);
}

/* A section of another mm nests too, as reclaim does it. */
static void start_nested_other_mm_is_told_apart(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *here = mnk_sub_on(ctx, ctx->mm);
	struct mnk_sub *there = mnk_sub_on(ctx, mm->mm);
	struct mmu_notifier_range range;

	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, here), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, there), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, there), 1);
	mnk_end(&range);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, here), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, here), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, there), 1);
}

/* Two tasks are in the same callback at the same time. */
static void start_in_two_tasks_runs_in_parallel(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mnk_section *section;
	struct mnk_task *task[2];
	int i;

	mnk_gate_arm(&sub->gate, MNK_START);
	for (i = 0; i < ARRAY_SIZE(task); i++) {
		section = mnk_section(ctx, ctx->mm, MNK_BASE,
				      MNK_BASE + PAGE_SIZE);
		task[i] = mnk_spawn(ctx, mnk_do_section, section);
	}
	for (i = 0; i < ARRAY_SIZE(task); i++)
		mnk_gate_entered(ctx, &sub->gate);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 0);
	mnk_gate_open(&sub->gate);
	for (i = 0; i < ARRAY_SIZE(task); i++)
		mnk_join(ctx, task[i]);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 2);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 2);
}

/* A task that is stuck in a callback holds up no other mm. */
static void start_blocked_in_one_mm_leaves_other_running(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *blocked = mnk_sub_on(ctx, mm->mm);
	struct mnk_sub *other = mnk_sub_on(ctx, ctx->mm);
	struct mnk_section *section[2];
	struct mnk_task *task;

	section[0] = mnk_section(ctx, mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	section[1] = mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	mnk_gate_arm(&blocked->gate, MNK_START);
	task = mnk_spawn(ctx, mnk_do_section, section[0]);
	mnk_gate_entered(ctx, &blocked->gate);
	mnk_run(ctx, mnk_do_section, section[1]);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, other), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, blocked), 0);
	mnk_gate_open(&blocked->gate);
	mnk_join(ctx, task);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, blocked), 1);
}

/* [2] whoever registered first: intervals hear before whole-mm subscribers. */
static void start_intervals_hear_before_whole_mm(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	int i, last_interval, first_whole;

	mnk_sub_on(ctx, ctx->mm);
	for (i = 0; i < 3; i++)
		mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	mnk_sub_on(ctx, ctx->mm);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, NULL), 3);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, NULL), 2);
	last_interval = mnk_pos(ctx, MNK_INVALIDATE, NULL, 2);
	first_whole = mnk_pos(ctx, MNK_START, NULL, 0);
	KUNIT_EXPECT_LT(test, last_interval, first_whole);
}

static void start_only_one_op_set_calls_it(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *no_end = mnk_sub(ctx), *no_start = mnk_sub(ctx);

	no_end->ops.invalidate_range_end = NULL;
	no_start->ops.invalidate_range_start = NULL;
	mnk_register(no_end, ctx->mm);
	mnk_register(no_start, ctx->mm);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, no_end), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, no_start), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, no_end), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, no_start), 1);
}

/* Operations on one populated page of the test thread's mm. */
static void real_munmap(struct mnk_ctx *ctx, unsigned long addr)
{
	KUNIT_EXPECT_EQ(ctx->test, 0, vm_munmap(addr, PAGE_SIZE));
}

static void real_map_over(struct mnk_ctx *ctx, unsigned long addr)
{
	KUNIT_EXPECT_EQ(ctx->test, addr,
			vm_mmap(NULL, addr, PAGE_SIZE, PROT_READ,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0));
}

static void real_dontneed(struct mnk_ctx *ctx, unsigned long addr)
{
	KUNIT_EXPECT_EQ(ctx->test, 0, do_madvise(ctx->mm, addr, PAGE_SIZE,
						 MADV_DONTNEED));
}

static void real_unmap_file(struct mnk_ctx *ctx, unsigned long addr)
{
	unmap_mapping_range(ctx->watch->mapping, 0, PAGE_SIZE, 1);
}

static void real_mkclean(struct mnk_ctx *ctx, unsigned long addr)
{
	struct folio *folio = page_folio(ctx->watch);

	folio_lock(folio);
	folio_mkclean(folio);
	folio_unlock(folio);
}

struct real_op {
	const char *name;
	void (*fn)(struct mnk_ctx *ctx, unsigned long addr);
	bool file;
	enum mmu_notifier_event event;
	int mapcount;		/* of the page, when all is done */
};

static const struct real_op real_ops[] = {
	{ "munmap", real_munmap, false, MMU_NOTIFY_UNMAP, 0 },
	{ "mmap over", real_map_over, false, MMU_NOTIFY_UNMAP, 0 },
	{ "madvise dontneed", real_dontneed, false, MMU_NOTIFY_CLEAR, 0 },
	{ "munmap of file", real_munmap, true, MMU_NOTIFY_UNMAP, 0 },
	{ "truncation", real_unmap_file, true, MMU_NOTIFY_CLEAR, 0 },
	{ "write-back", real_mkclean, true, MMU_NOTIFY_PROTECTION_PAGE, 1 },
};

KUNIT_ARRAY_PARAM_DESC(real_ops, real_ops, name);

static unsigned long map_for(struct mnk_ctx *ctx, const struct real_op *op)
{
	struct file *file;
	unsigned long addr;

	if (!op->file)
		return mnk_map(ctx, NULL, MAP_PRIVATE | MAP_ANONYMOUS);
	file = shmem_file_setup("mmu_notifier", PAGE_SIZE, EMPTY_VMA_FLAGS);
	KUNIT_ASSERT_FALSE(ctx->test, IS_ERR(file));
	addr = mnk_map(ctx, file, MAP_SHARED);
	fput(file);
	return addr;
}

/*
 * A real operation opens a section that covers the page: still mapped at the
 * start, for intervals and whole-mm subscribers, and finished at the end.
 */
static void start_real_operation_covers_teardown(struct kunit *test)
{
	const struct real_op *op = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	unsigned long addr = map_for(ctx, op);
	const struct mnk_call *call;
	struct mnk_ivl *ivl;
	struct mnk_sub *sub;
	unsigned long seq;

	mnk_populate(ctx, addr);
	sub = mnk_sub_on(ctx, ctx->mm);
	ivl = mnk_ivl_on(ctx, ctx->mm, addr, PAGE_SIZE);
	seq = mnk_read_begin(ivl);
	op->fn(ctx, addr);

	KUNIT_EXPECT_GE(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub),
			mnk_count(ctx, MNK_END, sub));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub),
			mnk_count(ctx, MNK_INVALIDATE, ivl));
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));

	call = mnk_call(ctx, MNK_INVALIDATE, ivl, 0);
	KUNIT_EXPECT_EQ(test, call->mapcount, 1);
	call = mnk_call(ctx, MNK_START, sub, 0);
	KUNIT_EXPECT_EQ(test, call->event, op->event);
	KUNIT_EXPECT_LE(test, call->start, addr);
	KUNIT_EXPECT_GE(test, call->end, addr + PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, call->blockable);
	KUNIT_EXPECT_EQ(test, call->mapcount, 1);
	call = mnk_call(ctx, MNK_END, sub, 0);
	KUNIT_EXPECT_EQ(test, call->event, op->event);
	KUNIT_EXPECT_EQ(test, call->mapcount, op->mapcount);
}

/* A read maps the zero page, so that the write has to replace it. */
static void start_write_fault_covers_replaced_page(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	unsigned long addr = mnk_map(ctx, NULL, MAP_PRIVATE | MAP_ANONYMOUS);
	const struct mnk_call *call;
	struct mnk_ivl *hit, *miss;
	struct mnk_sub *sub;
	unsigned long seq;
	int value;

	KUNIT_ASSERT_EQ(test, 0, get_user(value, (int __user *)addr));
	KUNIT_ASSERT_EQ(test, value, 0);
	sub = mnk_sub_on(ctx, ctx->mm);
	hit = mnk_ivl_on(ctx, ctx->mm, addr, PAGE_SIZE);
	miss = mnk_ivl_on(ctx, ctx->mm, addr + PAGE_SIZE, PAGE_SIZE);
	seq = mnk_read_begin(hit);
	KUNIT_ASSERT_EQ(test, 0, put_user(1, (int __user *)addr));

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, hit), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, miss), 0);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(hit, seq));
	call = mnk_call(ctx, MNK_START, sub, 0);
	KUNIT_EXPECT_EQ(test, call->event, MMU_NOTIFY_CLEAR);
	KUNIT_EXPECT_EQ(test, call->start, addr);
	KUNIT_EXPECT_EQ(test, call->end, addr + PAGE_SIZE);
}

static struct kunit_case mmu_notifier_sections_cases[] = {
	KUNIT_CASE(start_and_end_are_paired),
	KUNIT_CASE(start_without_subscribers_is_silent),
	KUNIT_CASE_PARAM(start_range_fields_are_passed_through,
			 range_fields_gen_params),
	KUNIT_CASE(start_nested_is_announced_inside_out),
	KUNIT_CASE(start_nested_other_mm_is_told_apart),
	KUNIT_CASE(start_in_two_tasks_runs_in_parallel),
	KUNIT_CASE(start_blocked_in_one_mm_leaves_other_running),
	KUNIT_CASE(start_intervals_hear_before_whole_mm),
	KUNIT_CASE(start_only_one_op_set_calls_it),
	KUNIT_CASE_PARAM(start_real_operation_covers_teardown,
			 real_ops_gen_params),
	KUNIT_CASE(start_write_fault_covers_replaced_page),
	{}
};

static struct kunit_suite mmu_notifier_sections_suite = {
	.name = "mmu_notifier_sections",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_sections_cases,
};

kunit_test_suite(mmu_notifier_sections_suite);

MODULE_DESCRIPTION("KUnit tests of MMU notifier sections");
MODULE_LICENSE("GPL");
