// SPDX-License-Identifier: GPL-2.0
/*
 * Subscribing and unsubscribing while sections are in flight.
 *
 * Registration waits for the sections of its mm that it came too late for, so
 * that none is in flight on return and no end comes without a start. It takes
 * none of the locks that sections are opened under. Intervals have to do with
 * the sections that overlap them and with no other.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/shmem_fs.h>

#include "mmu_notifier_kunit.h"

#define ELSEWHERE	(MNK_BASE + SZ_16M)

static unsigned long do_register(void *arg)
{
	struct mnk_sub *sub = arg;

	return mmu_notifier_register(&sub->mn, sub->data);
}

static struct mnk_task *spawn_register(struct mnk_sub *sub,
				       struct mm_struct *mm)
{
	sub->data = mm;
	return mnk_spawn(sub->ctx, do_register, sub);
}

static void join_register(struct mnk_sub *sub, struct mnk_task *task)
{
	KUNIT_EXPECT_EQ(sub->ctx->test, 0, mnk_join(sub->ctx, task));
	sub->registered = !sub->ctx->stuck;
}

static unsigned long do_register_locked(void *arg)
{
	struct mnk_sub *sub = arg;
	int ret;

	mmap_write_lock(sub->data);
	ret = __mmu_notifier_register(&sub->mn, sub->data);
	mmap_write_unlock(sub->data);
	return ret;
}

struct late {
	const char *name;
	bool first;		/* there is no other subscription */
	unsigned long (*fn)(void *sub);
};

static const struct late lates[] = {
	{ "first", true, do_register },
	{ "next", false, do_register },
	{ "first, mmap_lock held", true, do_register_locked },
	{ "next, mmap_lock held", false, do_register_locked },
};

KUNIT_ARRAY_PARAM_DESC(late, lates, name);

static void register_in_open_section_waits_for_its_end(struct kunit *test)
{
	const struct late *late = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *old = late->first ? NULL : mnk_sub_on(ctx, ctx->mm);
	struct mnk_sub *sub = mnk_sub(ctx);
	struct mnk_task *task, *registration;
	struct mnk_section *section;

	task = mnk_open_section(ctx, ctx->mm, MNK_BASE, &section);
	sub->data = ctx->mm;
	registration = mnk_spawn(ctx, late->fn, sub);
	mnk_expect_blocked(ctx, registration);
	mnk_gate_open(&section->hold);
	mnk_join(ctx, task);
	join_register(sub, registration);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 0);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	if (old) {
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, old), 2);
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, old), 2);
	}
}

/* A section may go on for long: meanwhile the mm is not locked. */
static void register_in_open_section_leaves_mmap_lock(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub(ctx);
	struct mnk_task *task, *registration;
	struct mnk_section *section;
	bool locked;

	task = mnk_open_section(ctx, ctx->mm, MNK_BASE, &section);
	registration = spawn_register(sub, ctx->mm);
	mnk_expect_blocked(ctx, registration);
	locked = mmap_read_trylock(ctx->mm);
	if (locked)
		mmap_read_unlock(ctx->mm);
	KUNIT_EXPECT_TRUE(test, locked);
	mnk_gate_open(&section->hold);
	mnk_join(ctx, task);
	join_register(sub, registration);
}

/* A section that starts while somebody registers is heard from start to end. */
static void register_in_open_section_hears_later_section(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *old = mnk_sub_on(ctx, ctx->mm), *sub = mnk_sub(ctx);
	struct mnk_task *early_task, *late_task, *registration;
	struct mnk_section *early, *late;

	early_task = mnk_open_section(ctx, ctx->mm, MNK_BASE, &early);
	registration = spawn_register(sub, ctx->mm);
	mnk_expect_blocked(ctx, registration);
	late_task = mnk_open_section(ctx, ctx->mm, MNK_BASE, &late);
	mnk_gate_open(&early->hold);
	mnk_join(ctx, early_task);
	join_register(sub, registration);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 0);
	mnk_gate_open(&late->hold);
	mnk_join(ctx, late_task);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub),
			mnk_count(ctx, MNK_END, sub));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, old), 2);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, old), 2);
}

/*
 * Registration and the reverse map
 */

struct rmap_holder {
	struct address_space *mapping;
	struct mnk_section *section;
};

/* As rmap_walk_file(): somebody else's file, and one section in it. */
static unsigned long do_rmap_section(void *arg)
{
	struct rmap_holder *holder = arg;

	i_mmap_lock_write(holder->mapping);
	mnk_do_section(holder->section);
	i_mmap_unlock_write(holder->mapping);
	return 0;
}

static void map_file(struct mnk_ctx *ctx, struct rmap_holder *holder)
{
	struct file *file = shmem_file_setup("mmu_notifier", PAGE_SIZE,
					     EMPTY_VMA_FLAGS);

	KUNIT_ASSERT_FALSE(ctx->test, IS_ERR(file));
	mnk_map(ctx, file, MAP_SHARED);
	holder->mapping = file->f_mapping;
	fput(file);
}

/*
 * The file is mapped in both mms, and a subscriber of the other one is in a
 * callback: this is none of the business of this mm.
 */
static void register_other_mm_in_callback_under_rmap_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *other = mnk_mm_empty(ctx);
	struct mnk_sub *blocked = mnk_sub_on(ctx, other->mm);
	struct mnk_sub *sub = mnk_sub(ctx);
	struct mnk_task *task, *registration;
	struct rmap_holder *holder;

	holder = kunit_kzalloc(test, sizeof(*holder), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, holder);
	map_file(ctx, holder);
	holder->section = mnk_section(ctx, other->mm, MNK_BASE,
				      MNK_BASE + PAGE_SIZE);
	mnk_gate_arm(&blocked->gate, MNK_START);
	task = mnk_spawn(ctx, do_rmap_section, holder);
	mnk_gate_entered(ctx, &blocked->gate);

	registration = spawn_register(sub, ctx->mm);
	mnk_expect_returned(ctx, registration);
	mnk_gate_open(&blocked->gate);
	mnk_join(ctx, task);
	join_register(sub, registration);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
}

/* No lock of all mms: one that has to wait leaves the next one alone. */
static void register_while_other_mm_registers_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *other = mnk_mm_empty(ctx);
	struct mnk_sub *slow = mnk_sub(ctx), *fast = mnk_sub(ctx);
	struct mnk_task *task, *waiting, *registration;
	struct rmap_holder *holder;

	holder = kunit_kzalloc(test, sizeof(*holder), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, holder);
	map_file(ctx, holder);
	holder->section = mnk_section(ctx, ctx->mm, MNK_BASE,
				      MNK_BASE + PAGE_SIZE);
	mnk_sub_on(ctx, ctx->mm);
	mnk_gate_arm(&holder->section->hold, MNK_HOLD);
	task = mnk_spawn(ctx, do_rmap_section, holder);
	mnk_gate_entered(ctx, &holder->section->hold);

	waiting = spawn_register(slow, ctx->mm);
	mnk_expect_blocked(ctx, waiting);
	registration = spawn_register(fast, other->mm);
	mnk_expect_returned(ctx, registration);
	KUNIT_EXPECT_FALSE(test, completion_done(&waiting->done));
	mnk_gate_open(&holder->section->hold);
	mnk_join(ctx, task);
	join_register(slow, waiting);
	join_register(fast, registration);
}

/*
 * Intervals
 */

static unsigned long do_insert_and_read(void *arg)
{
	struct mnk_ivl *ivl = arg;

	if (mmu_interval_notifier_insert(&ivl->mni, ivl->ctx->mm, MNK_BASE,
					 PAGE_SIZE, &ivl->ops))
		return 0;
	ivl->inserted = true;
	return mnk_do_read_begin(ivl);
}

/*
 * The first interval of an mm, in a section that knows nothing of intervals:
 * insert or read_begin has to wait for it. A core that does not will count the
 * end of the section, so it is given a start.
 */
static void insert_first_in_covering_section_is_live(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl(ctx);
	struct mmu_notifier_range extra;
	struct mnk_task *task, *reader;
	struct mnk_section *section;
	unsigned long seq;

	task = mnk_open_section(ctx, ctx->mm, MNK_BASE, &section);
	reader = mnk_spawn(ctx, do_insert_and_read, ivl);
	mnk_expect_blocked(ctx, reader);
	if (completion_done(&reader->done))
		mnk_start(&extra, ctx->mm, ELSEWHERE, ELSEWHERE + PAGE_SIZE);
	mnk_gate_open(&section->hold);
	mnk_join(ctx, task);
	seq = mnk_join(ctx, reader);

	KUNIT_EXPECT_TRUE(test, ivl->inserted);
	KUNIT_EXPECT_TRUE(test, seq & 1);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
}

/* A section over another interval that stays open, and its task. */
static struct mnk_task *open_elsewhere(struct mnk_ctx *ctx,
				       struct mnk_section **section)
{
	mnk_ivl_on(ctx, ctx->mm, ELSEWHERE, PAGE_SIZE);
	return mnk_open_section(ctx, ctx->mm, ELSEWHERE, section);
}

static void read_begin_section_elsewhere_open_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	struct mnk_task *task, *reader;
	struct mnk_section *section;
	unsigned long seq;

	task = open_elsewhere(ctx, &section);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	reader = mnk_spawn(ctx, mnk_do_read_begin, ivl);
	mnk_expect_returned(ctx, reader);
	mnk_gate_open(&section->hold);
	seq = mnk_join(ctx, reader);
	mnk_join(ctx, task);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
}

static void insert_section_elsewhere_open_is_live(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_task *task, *reader;
	struct mnk_section *section;
	struct mnk_ivl *ivl;
	unsigned long seq;

	task = open_elsewhere(ctx, &section);
	ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	reader = mnk_spawn(ctx, mnk_do_read_begin, ivl);
	mnk_expect_returned(ctx, reader);
	mnk_gate_open(&section->hold);
	seq = mnk_join(ctx, reader);
	mnk_join(ctx, task);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
}

static void remove_section_elsewhere_open_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	struct mnk_task *task, *remove;
	struct mnk_section *section;

	task = open_elsewhere(ctx, &section);
	ivl->inserted = false;
	remove = mnk_spawn(ctx, mnk_do_remove, ivl);
	mnk_expect_returned(ctx, remove);
	mnk_gate_open(&section->hold);
	mnk_join(ctx, remove);
	mnk_join(ctx, task);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 0);
}

/* Two intervals, one section: removal waits for its own callback alone. */
static void remove_other_callback_blocked_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *blocked = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, SZ_1M);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	struct mnk_task *task, *remove;

	mnk_gate_arm(&blocked->gate, MNK_INVALIDATE);
	task = mnk_spawn(ctx, mnk_do_section, section);
	mnk_gate_entered(ctx, &blocked->gate);
	ivl->inserted = false;
	remove = mnk_spawn(ctx, mnk_do_remove, ivl);
	mnk_expect_returned(ctx, remove);
	mnk_gate_open(&blocked->gate);
	mnk_join(ctx, remove);
	mnk_join(ctx, task);
	KUNIT_EXPECT_LE(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
}

static struct kunit_case mmu_notifier_inflight_cases[] = {
	KUNIT_CASE_PARAM(register_in_open_section_waits_for_its_end,
			 late_gen_params),
	KUNIT_CASE(register_in_open_section_leaves_mmap_lock),
	KUNIT_CASE(register_in_open_section_hears_later_section),
	KUNIT_CASE(register_other_mm_in_callback_under_rmap_returns),
	KUNIT_CASE(register_while_other_mm_registers_returns),
	KUNIT_CASE(insert_first_in_covering_section_is_live),
	KUNIT_CASE(insert_section_elsewhere_open_is_live),
	KUNIT_CASE(read_begin_section_elsewhere_open_returns),
	KUNIT_CASE(remove_section_elsewhere_open_returns),
	KUNIT_CASE(remove_other_callback_blocked_returns),
	{}
};

static struct kunit_suite mmu_notifier_inflight_suite = {
	.name = "mmu_notifier_inflight",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_inflight_cases,
};

kunit_test_suite(mmu_notifier_inflight_suite);

MODULE_DESCRIPTION("KUnit tests of subscribing while sections are in flight");
MODULE_LICENSE("GPL");
