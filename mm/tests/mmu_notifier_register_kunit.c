// SPDX-License-Identifier: GPL-2.0
/*
 * Registering and unregistering whole-mm subscribers. Numbers in brackets are
 * the contracts that in-tree users rely on, see mmu_notifier_kunit.h.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "mmu_notifier_kunit.h"

static void invalidate_page(struct mnk_ctx *ctx)
{
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
}

/* [26] the object is garbage before, [13] and valid afterwards. */
static void register_garbage_object_hears_sections(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);

	KUNIT_EXPECT_PTR_EQ(test, sub->mn.mm, ctx->mm);
	KUNIT_EXPECT_PTR_EQ(test, sub->mn.ops, &sub->ops);
	KUNIT_EXPECT_FALSE(test, hlist_unhashed(&sub->mn.hlist));
	KUNIT_EXPECT_TRUE(test, mm_has_notifiers(ctx->mm));

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 0);
}

static void register_mmap_lock_held_hears_sections(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub(ctx);
	int ret;

	mmap_write_lock(ctx->mm);
	ret = __mmu_notifier_register(&sub->mn, ctx->mm);
	mmap_write_unlock(ctx->mm);
	KUNIT_ASSERT_EQ(test, ret, 0);
	sub->registered = true;

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
}

/* [5] last in, first called; at the end as at the start. */
static void register_several_are_called_last_in_first(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub[3];
	int i;

	for (i = 0; i < ARRAY_SIZE(sub); i++)
		sub[i] = mnk_sub_on(ctx, ctx->mm);
	invalidate_page(ctx);

	for (i = 0; i < ARRAY_SIZE(sub); i++) {
		int nth = ARRAY_SIZE(sub) - 1 - i;

		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub[i]), 1);
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub[i]), 1);
		KUNIT_EXPECT_PTR_EQ(test, sub[i],
				    mnk_call(ctx, MNK_START, NULL, nth)->who);
		KUNIT_EXPECT_PTR_EQ(test, sub[i],
				    mnk_call(ctx, MNK_END, NULL, nth)->who);
	}
}

/* [5] one owner, one set of operations, two objects in one mm. */
static void register_same_ops_twice_hears_twice(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *one = mnk_sub(ctx), *two = mnk_sub(ctx);

	two->mn.ops = one->mn.ops;
	mnk_register(one, ctx->mm);
	mnk_register(two, ctx->mm);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, one), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, two), 1);

	mnk_unregister(two);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, one), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, two), 1);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, one), 2);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, one), 2);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, two), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, two), 1);
}

static void register_other_mm_stays_silent(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *here = mnk_sub_on(ctx, ctx->mm);
	struct mnk_sub *there = mnk_sub_on(ctx, mm->mm);

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, here), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, there), 0);
	mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, here), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, there), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, there), 1);
	KUNIT_EXPECT_PTR_EQ(test, mnk_call(ctx, MNK_END, there, 0)->mm, mm->mm);
}

static void register_without_callbacks_disturbs_nobody(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *before = mnk_sub_on(ctx, ctx->mm);
	struct mnk_sub *mute = mnk_sub(ctx);
	struct mnk_sub *after;

	memset(&mute->ops, 0, sizeof(mute->ops));
	mnk_register(mute, ctx->mm);
	after = mnk_sub_on(ctx, ctx->mm);

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, before), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, before), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, after), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, after), 1);

	mnk_unregister(mute);
	KUNIT_EXPECT_TRUE(test, hlist_unhashed(&mute->mn.hlist));
}

/* The mm outlives its users for as long as a subscriber is registered. */
static void register_until_unregister_pins_mm(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	int before = atomic_read(&mm->mm->mm_count);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);

	KUNIT_EXPECT_GT(test, atomic_read(&mm->mm->mm_count), before);
	mnk_unregister(sub);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm->mm_count), before);
}

/* [13] put() is legal for a registered object, [11] and calls no release. */
static void put_after_register_frees_without_release(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);

	sub->registered = false;
	sub->gets = 1;
	atomic_inc(&ctx->unfreed);
	mnk_put(sub);
	mnk_expect_freed(sub);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 0);
}

/* [12] the operations are the identity, however the object got there. */
static void get_after_register_returns_registered_object(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub(ctx);

	sub->mn.ops = &mnk_get_ops;
	mnk_register(sub, ctx->mm);
	KUNIT_EXPECT_PTR_EQ(test, mnk_get(ctx, &mnk_get_ops, ctx->mm), sub);
	mnk_put(sub);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_ALLOC, NULL), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, NULL), 0);

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
}

/* [10] release if nobody has called it, never free_notifier, then silence. */
static void unregister_idle_releases_and_silences(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);

	mnk_unregister(sub);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	KUNIT_EXPECT_PTR_EQ(test, mnk_call(ctx, MNK_RELEASE, sub, 0)->mm,
			    ctx->mm);
	KUNIT_EXPECT_TRUE(test, hlist_unhashed(&sub->mn.hlist));

	mnk_forget(ctx);
	invalidate_page(ctx);
	mmu_notifier_test_young(ctx->mm, MNK_BASE);
	mmu_notifier_synchronize();
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

/* [10] ->mm stays readable; hfi1 looks at it afterwards. */
static void unregister_returned_mm_is_readable(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);

	mnk_unregister(sub);
	KUNIT_EXPECT_PTR_EQ(test, sub->mn.mm, ctx->mm);
}

static void unregister_without_release_op_silences(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub(ctx);

	sub->ops.release = NULL;
	mnk_register(sub, ctx->mm);
	mnk_unregister(sub);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
	KUNIT_EXPECT_TRUE(test, hlist_unhashed(&sub->mn.hlist));
}

/* A section that is open: after unregister not even its end is heard. */
static void unregister_in_open_section_hears_no_end(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *stays = mnk_sub_on(ctx, ctx->mm);
	struct mnk_sub *goes = mnk_sub_on(ctx, ctx->mm);
	struct mmu_notifier_range range;

	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	mnk_unregister(goes);
	mnk_end(&range);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, goes), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, goes), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, goes), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, stays), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, stays), 1);
}

/* [10] synchronous: the caller frees the object at once. */
static void unregister_running_callback_waits(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	struct mnk_task *invalidator, *unregister;

	mnk_gate_arm(&sub->gate, MNK_START);
	invalidator = mnk_spawn(ctx, mnk_do_section, section);
	mnk_gate_entered(ctx, &sub->gate);

	sub->registered = false;
	unregister = mnk_spawn(ctx, mnk_do_unregister, sub);
	mnk_expect_blocked(ctx, unregister);
	mnk_gate_open(&sub->gate);
	mnk_join(ctx, unregister);
	mnk_join(ctx, invalidator);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	mnk_forget(ctx);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

static void register_after_unregister_hears_again(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);

	mnk_unregister(sub);
	mnk_register(sub, ctx->mm);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	mnk_unregister(sub);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 2);
}

struct unregister_work {
	struct work_struct work;
	struct mnk_sub *sub;
};

static void unregister_worker(struct work_struct *work)
{
	mnk_do_unregister(container_of(work, struct unregister_work,
				       work)->sub);
}

static unsigned long flush_unregister(void *arg)
{
	struct unregister_work *work = arg;

	queue_work(system_dfl_wq, &work->work);
	flush_work(&work->work);
	return 0;
}

/* [9] from a kworker, which has no mm, when the mm has lost its last user. */
static void unregister_from_kworker_after_exit_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct unregister_work *work;

	work = kunit_kzalloc(test, sizeof(*work), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, work);
	INIT_WORK(&work->work, unregister_worker);
	work->sub = sub;

	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	sub->registered = false;
	mnk_run(ctx, flush_unregister, work);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	KUNIT_EXPECT_PTR_EQ(test, sub->mn.mm, mm->mm);
}

static struct kunit_case mmu_notifier_register_cases[] = {
	KUNIT_CASE(register_garbage_object_hears_sections),
	KUNIT_CASE(register_mmap_lock_held_hears_sections),
	KUNIT_CASE(register_several_are_called_last_in_first),
	KUNIT_CASE(register_same_ops_twice_hears_twice),
	KUNIT_CASE(register_other_mm_stays_silent),
	KUNIT_CASE(register_without_callbacks_disturbs_nobody),
	KUNIT_CASE(register_until_unregister_pins_mm),
	KUNIT_CASE(register_after_unregister_hears_again),
	KUNIT_CASE(put_after_register_frees_without_release),
	KUNIT_CASE(get_after_register_returns_registered_object),
	KUNIT_CASE(unregister_idle_releases_and_silences),
	KUNIT_CASE(unregister_returned_mm_is_readable),
	KUNIT_CASE(unregister_without_release_op_silences),
	KUNIT_CASE(unregister_in_open_section_hears_no_end),
	KUNIT_CASE(unregister_running_callback_waits),
	KUNIT_CASE(unregister_from_kworker_after_exit_returns),
	{}
};

static struct kunit_suite mmu_notifier_register_suite = {
	.name = "mmu_notifier_register",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_register_cases,
};

kunit_test_suite(mmu_notifier_register_suite);

MODULE_DESCRIPTION("KUnit tests of MMU notifier registration");
MODULE_LICENSE("GPL");
