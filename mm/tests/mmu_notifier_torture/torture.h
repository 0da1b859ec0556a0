/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifier torture test: what its parts share.
 *
 *   main.c	parameters, threads, watchdog, verdict
 *   oracle.c	what every section owes to every subscriber
 *   report.c	failures, and what was going on
 *   mm.c	the tortured mms: their birth, their exit, real operations
 *   sub.c	whole-mm subscribers: callbacks, register/unregister
 *   get.c	whole-mm subscribers: get/put
 *   interval.c	interval subscribers and their readers
 *   section.c	sections, young hooks, secondary TLB invalidations
 *   strict.c	timing promises that only the strict contract makes
 *
 * Rules are named by letter in failure reports:
 *
 *   P pairing		end exactly once if and only if start returned 0
 *   M missed		a live subscriber hears of every section, and no
 *			section it has not heard of is open once register()
 *			has returned
 *   A after		no callback after unregister, put+free or remove
 *   L release		->release exactly once, while pages are still mapped
 *   F free		->free_notifier exactly once, in process context
 *   O order		intervals before whole-mm subscribers, finish last
 *   R range		a callback gets the section's range, event and flags
 *   N non-blocking	-EAGAIN if and only if somebody refused
 *   C collision	a reader that need not retry saw no open section
 *   Y young		the results of all subscribers are combined
 *   W wait		nothing hangs; strict: nobody waits for strangers
 *   E error		no call fails that must not
 */
#ifndef MM_TESTS_MMU_NOTIFIER_TORTURE_H
#define MM_TESTS_MMU_NOTIFIER_TORTURE_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/torture.h>
#include <linux/types.h>

/* Each mm has a window for direct sections, then one for real operations. */
#define MNTORT_BASE		0x20000000UL
#define MNTORT_PAGES		48
#define MNTORT_REAL_PAGES	16
#define MNTORT_ALL_PAGES	(MNTORT_PAGES + MNTORT_REAL_PAGES)

#define MNTORT_PLAIN		6	/* register/unregister subscribers */
#define MNTORT_GET_OPS		2	/* ops vectors used with get/put */
#define MNTORT_GET_EACH		4	/* objects per such vector */
#define MNTORT_SUBS		(MNTORT_PLAIN + MNTORT_GET_OPS * MNTORT_GET_EACH)
#define MNTORT_IVS		8
#define MNTORT_NEST		3
#define MNTORT_POISON		0x5a
#define MNTORT_HELD		4

struct mntort_slot;

/**
 * enum mntort_state - life of a subscription, as its owner sees it
 * @MNTORT_FREE: not registered; its object, if any, is poisoned
 * @MNTORT_OPENING: the registering call has not returned yet
 * @MNTORT_LIVE: registered, everything is owed to it
 * @MNTORT_CLOSING: the unregistering call was made and may not have returned
 */
enum mntort_state {
	MNTORT_FREE,
	MNTORT_OPENING,
	MNTORT_LIVE,
	MNTORT_CLOSING,
};

/**
 * struct mntort_mm - one mm during its life in a slot
 * @kref: every user of @mm that does not hold slot->sem
 * @mm: pinned by mm_count until the last reference is gone
 * @slot: where it lives or lived
 * @id: number of this mm in its slot
 * @plain: takes that many register/unregister subscribers
 * @gets: takes get/put subscribers
 * @ivs: takes that many interval subscribers; if none its whole-mm subscribers
 *	may refuse. The strict contract allows both at once.
 * @exiting: the last mmput() is about to be called (mntort_lock)
 * @exited: the last mmput() has returned (mntort_lock)
 * @open: for each page, how many sections are tearing it down
 * @gen: for each page, how many sections have torn it down
 */
struct mntort_mm {
	struct kref kref;
	struct mm_struct *mm;
	struct mntort_slot *slot;
	unsigned long id;
	int plain;
	bool gets;
	int ivs;
	bool exiting;
	bool exited;
	atomic_t open[MNTORT_PAGES];
	atomic_long_t gen[MNTORT_PAGES];
};

/* What registers with the core. Poisoned, not freed, until its next use. */
struct mntort_obj {
	struct mmu_notifier mn;
	struct mmu_notifier dead;	/* what @mn must still be when freed */
	struct mntort_sub *sub;
	unsigned long magic;
};

/**
 * struct mntort_sub - whole-mm subscriber
 * @mutex: serialises register and unregister
 * @slot: constant
 * @index: in slot->subs, constant
 * @ops: constant
 * @obj: the registered object, or the poisoned one of the last registration
 * @m: the mm of @obj
 * @state: see &enum mntort_state (mntort_lock)
 * @gen: number of the registration (mntort_lock)
 * @refs: get/put references owned by torture threads (mntort_lock)
 * @ticket: number of the put that began to close it (mntort_lock)
 * @exit_gen: @gen if it was live when its mm began to exit (mntort_lock)
 * @releases: calls of ->release for @gen
 * @released: one of them is about to return (mntort_lock)
 * @running: callbacks running now
 */
struct mntort_sub {
	struct mutex mutex;	/* register and unregister */
	struct mntort_slot *slot;
	int index;
	const struct mmu_notifier_ops *ops;
	struct mntort_obj *obj;
	struct mntort_mm *m;
	enum mntort_state state;
	u32 gen;
	int refs;
	u32 ticket;
	u32 exit_gen;
	atomic_t releases;
	bool released;
	atomic_t running;
};

struct mntort_iv_obj {
	struct mmu_interval_notifier in;
	struct mmu_interval_notifier dead;
	struct mntort_iv *iv;
	unsigned long magic;
};

/**
 * struct mntort_iv - interval subscriber
 * @sem: readers hold it for read, insert and remove for write
 * @user_lock: what drivers call their page table lock
 * @slot: constant
 * @index: in slot->ivs, constant
 * @obj: as in &struct mntort_sub
 * @m: as in &struct mntort_sub
 * @state: as in &struct mntort_sub; live after the first read_begin
 * @gen: as in &struct mntort_sub
 * @exit_gen: as in &struct mntort_sub
 * @first: first page of the window that it covers
 * @last: last page of the window that it covers
 * @two_pass: has invalidate_start and invalidate_finish
 * @seq: last value given to mmu_interval_set_seq() (user_lock)
 * @seq_known: @seq is valid (user_lock)
 * @spte: pages that a reader has established (set under user_lock)
 * @releases: RELEASE events received for @gen
 * @unmaps: UNMAP events received from the exit of the mm for @gen
 * @running: callbacks running now
 */
struct mntort_iv {
	struct rw_semaphore sem;
	struct mutex user_lock;	/* sptes and seq */
	struct mntort_slot *slot;
	int index;
	struct mntort_iv_obj *obj;
	struct mntort_mm *m;
	enum mntort_state state;
	u32 gen;
	u32 exit_gen;
	int first;
	int last;
	bool two_pass;
	unsigned long seq;
	bool seq_known;
	DECLARE_BITMAP(spte, MNTORT_ALL_PAGES);
	atomic_t releases;
	atomic_t unmaps;
	atomic_t running;
};

/**
 * struct mntort_slot - a place for one mm after the other
 * @sem: held for read by whoever needs mm_users > 0, for write by exit
 * @m: the current mm (stable under @sem, replaced under mntort_lock too)
 * @old: the mm before it, which has exited (mntort_lock)
 * @ptl: stands for a page table lock around young hooks
 * @index: number of the slot
 * @subs: whole-mm subscribers; the last ones are used with get/put
 * @ivs: interval subscribers
 */
struct mntort_slot {
	struct rw_semaphore sem;
	struct mntort_mm *m;
	struct mntort_mm *old;
	spinlock_t ptl;		/* young hooks */
	int index;
	struct mntort_sub subs[MNTORT_SUBS];
	struct mntort_iv ivs[MNTORT_IVS];
};

enum mntort_what {
	MNTORT_SECTION,		/* start and end called by this test */
	MNTORT_REAL,		/* whatever an operation on the mm calls */
	MNTORT_CLEAR_FLUSH_YOUNG,
	MNTORT_CLEAR_YOUNG,
	MNTORT_TEST_YOUNG,
	MNTORT_AIST,
};

enum mntort_phase {
	MNTORT_IDLE,
	MNTORT_STARTING,
	MNTORT_OPEN,
	MNTORT_ENDING,
};

/* What a subscriber heard of a section; @gen tells which registration. */
struct mntort_mark {
	u32 gen;
	u32 starts;
	u32 ends;
	bool refused;
	unsigned long lo;
	unsigned long hi;
};

struct mntort_finish {
	struct mmu_interval_notifier_finish finish;
	struct mntort_section *sec;
	struct mntort_iv *iv;
	int order;
	bool pending;
};

/**
 * struct mntort_section - one section, or one call of another hook
 * @what: which hook
 * @phase: how far it is (mntort_lock)
 * @m: the mm (mntort_lock)
 * @range: what the core gets
 * @start: what @range must still say
 * @end: what @range must still say
 * @event: what @range must still say
 * @blockable: what @range must still say
 * @late: begun after the exit of the mm had returned
 * @refused: a whole-mm subscriber returned -EAGAIN
 * @iv_refused: an interval subscriber returned false
 * @whole: a whole-mm subscriber was called
 * @young: combined results of the young hooks
 * @owed: registrations of whole-mm subscribers that were live before
 * @owed_iv: the same for interval subscribers that overlap
 * @subs: what was heard (mntort_lock)
 * @ivs: what was heard (mntort_lock)
 * @finish: second passes
 * @passes: number of second passes asked for
 * @finished: number of second passes run
 */
struct mntort_section {
	enum mntort_what what;
	enum mntort_phase phase;
	struct mntort_mm *m;
	struct mmu_notifier_range range;
	unsigned long start;
	unsigned long end;
	enum mmu_notifier_event event;
	bool blockable;
	bool late;
	bool refused;
	bool iv_refused;
	bool whole;
	bool young;
	u32 owed[MNTORT_SUBS];
	u32 owed_iv[MNTORT_IVS];
	struct mntort_mark subs[MNTORT_SUBS];
	struct mntort_mark ivs[MNTORT_IVS];
	struct mntort_finish finish[MNTORT_IVS];
	int passes;
	int finished;
};

/**
 * struct mntort_thread - one torture thread
 * @task: NULL until it runs
 * @kthread: what to stop
 * @step: one random operation
 * @drain: gives back what the thread holds when the test ends, may be NULL
 * @name: for reports
 * @op: the operation under way, for reports
 * @where: number of the slot it works on, for reports
 * @steps: progress, for the watchdog
 * @seen: @steps when the watchdog last looked
 * @since: jiffies when @steps last changed
 * @done: will not touch the mms any more
 * @rnd: seeded from the seed parameter
 * @sec: stack of sections
 * @depth: number of sections on it
 * @cur: section for which the core is being called, or NULL
 * @exiting: mm that the thread is letting exit, or NULL
 * @get_slot: for alloc_notifier
 * @held: references from get
 */
struct mntort_thread {
	struct task_struct *task;
	struct task_struct *kthread;
	void (*step)(struct mntort_thread *th);
	void (*drain)(struct mntort_thread *th);
	char name[16];
	const char *op;
	int where;
	unsigned long steps;
	unsigned long seen;
	unsigned long since;
	bool done;
	struct rnd_state rnd;
	struct mntort_section sec[MNTORT_NEST];
	int depth;
	struct mntort_section *cur;
	struct mntort_mm *exiting;
	struct mntort_slot *get_slot;
	struct mntort_obj *held[MNTORT_HELD];
};

/* Everything that is counted; main.c tells what must not stay zero. */
enum mntort_counter {
	MNTORT_sections,
	MNTORT_nonblock,
	MNTORT_refusals,
	MNTORT_nested,
	MNTORT_late,
	MNTORT_young,
	MNTORT_aists,
	MNTORT_starts,
	MNTORT_ends,
	MNTORT_registrations,
	MNTORT_unregistrations,
	MNTORT_gets,
	MNTORT_shared_gets,
	MNTORT_frees,
	MNTORT_synchronizes,
	MNTORT_inserts,
	MNTORT_removes,
	MNTORT_invalidates,
	MNTORT_finishes,
	MNTORT_reads,
	MNTORT_retries,
	MNTORT_exits,
	MNTORT_exit_releases,
	MNTORT_exit_races,
	MNTORT_exit_unmaps,
	MNTORT_reals,
	MNTORT_strangers,
	MNTORT_bounded_reads,
	MNTORT_signals,
	MNTORT_NR_COUNTERS
};

/* main.c */
extern int mntort_nmms;
extern bool mntort_strict;
struct mntort_thread *mntort_self(void);
struct mntort_thread *mntort_next_thread(struct mntort_thread *th);

static inline u32 mntort_random(struct mntort_thread *th, u32 below)
{
	return prandom_u32_state(&th->rnd) % below;
}

/* One of @all, mostly of the first @some, which may be none. */
static inline u32 mntort_random_of(struct mntort_thread *th, u32 some, u32 all)
{
	u32 i = mntort_random(th, all);

	return some && i % 4 ? mntort_random(th, some) : i;
}

/* True once in @n times. */
static inline bool mntort_once_in(struct mntort_thread *th, u32 n)
{
	return !mntort_random(th, n);
}

static inline void mntort_doing(struct mntort_thread *th, const char *op,
				int where)
{
	WRITE_ONCE(th->op, op);
	WRITE_ONCE(th->where, where);
}

/* report.c */
extern atomic_t mntort_errors;
__printf(1, 2) void mntort_fail(const char *fmt, ...);
void mntort_print_first_failure(void);
#define mntort_check(good, fmt, ...)					\
({									\
	bool __good = (good);						\
	if (unlikely(!__good))						\
		mntort_fail(fmt, ##__VA_ARGS__);			\
	__good;								\
})

/* oracle.c */
extern spinlock_t mntort_lock;
extern atomic_long_t mntort_counters[MNTORT_NR_COUNTERS];
#define mntort_count(name)						\
	atomic_long_inc(&mntort_counters[MNTORT_##name])
void mntort_section_init(struct mntort_section *sec, enum mntort_what what,
			 struct mntort_mm *m, unsigned long start,
			 unsigned long end);
void mntort_section_set(struct mntort_section *sec, enum mntort_phase phase);
void mntort_section_started(struct mntort_section *sec, int ret);
void mntort_section_check_open(struct mntort_section *sec);
void mntort_section_ended(struct mntort_section *sec);
void mntort_real_ended(struct mntort_section *sec);
void mntort_hook_ended(struct mntort_section *sec, bool young);
void mntort_sub_opened(struct mntort_sub *sub);
void mntort_sub_start(struct mntort_sub *sub, struct mntort_thread *th,
		      const struct mmu_notifier_range *range, int ret);
void mntort_sub_end(struct mntort_sub *sub, struct mntort_thread *th,
		    const struct mmu_notifier_range *range);
void mntort_sub_hook(struct mntort_sub *sub, enum mntort_what what,
		     struct mm_struct *mm, unsigned long start,
		     unsigned long end, bool young);
void mntort_iv_invalidate(struct mntort_iv *iv, struct mntort_thread *th,
			  const struct mmu_notifier_range *range, bool ok);

/* mm.c */
extern struct mntort_slot *mntort_slots;
extern struct mntort_slot *mntort_exit_slot;
int mntort_slots_init(struct rnd_state *rnd);
void mntort_slots_exit(struct mntort_thread *th);
struct mntort_mm *mntort_mm_create(struct mntort_slot *slot);
struct mntort_mm *mntort_mm_get(struct mntort_slot *slot, bool old);
int mntort_mm_takes(struct mntort_slot *slot, bool intervals);
void mntort_mm_ref(struct mntort_mm *m);
void mntort_mm_put(struct mntort_mm *m);
void mntort_rmap_lock(void);
void mntort_rmap_unlock(void);
void mntort_exit_step(struct mntort_thread *th);
void mntort_real_step(struct mntort_thread *th);

static inline struct mntort_slot *mntort_random_slot(struct mntort_thread *th)
{
	return &mntort_slots[mntort_random(th, mntort_nmms)];
}

static inline unsigned long mntort_addr(int page)
{
	return MNTORT_BASE + page * PAGE_SIZE;
}

/* sub.c */
void mntort_dally(struct mntort_thread *th, bool may_sleep);
void mntort_sub_alive(struct mmu_notifier *mn, const char *when);
int mntort_range_start(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range);
void mntort_range_end(struct mmu_notifier *mn,
		      const struct mmu_notifier_range *range);
void mntort_release(struct mmu_notifier *mn, struct mm_struct *mm);
bool mntort_clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
			unsigned long start, unsigned long end);
struct mntort_obj *mntort_obj_alloc(struct mntort_sub *sub);
void mntort_obj_free(struct mntort_sub *sub);
void mntort_sub_opening(struct mntort_sub *sub, struct mntort_obj *obj,
			struct mntort_mm *m);
void mntort_sub_closed(struct mntort_sub *sub);
void mntort_subs_init(struct mntort_slot *slot);
void mntort_subs_exit(struct mntort_slot *slot);
void mntort_register_step(struct mntort_thread *th);

static inline struct mntort_sub *mntort_sub_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct mntort_obj, mn)->sub;
}

/* get.c */
extern const struct mmu_notifier_ops mntort_get_ops[MNTORT_GET_OPS];
void mntort_get_step(struct mntort_thread *th);
void mntort_get_drain(struct mntort_thread *th);

/* interval.c */
void mntort_ivs_init(struct mntort_slot *slot);
void mntort_ivs_exit(struct mntort_slot *slot);
void mntort_interval_step(struct mntort_thread *th);
void mntort_reader_step(struct mntort_thread *th);

/* section.c */
void mntort_section_step(struct mntort_thread *th);

/* strict.c */
void mntort_strict_step(struct mntort_thread *th);

#endif /* MM_TESTS_MMU_NOTIFIER_TORTURE_H */
