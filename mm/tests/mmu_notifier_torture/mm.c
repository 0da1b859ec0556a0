// SPDX-License-Identifier: GPL-2.0
/*
 * The mms that the MMU notifier torture test tortures: birth, exit, and real
 * operations on them.
 *
 * A slot has one mm at a time. Threads that need mm_users > 0 hold slot->sem
 * for read; the exit thread replaces the mm under slot->sem and then drops the
 * last mm_users reference, in parallel to unregistrations and to sections
 * that only pin mm_count, as reclaim does.
 */

#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "torture.h"

/* A page that stays mapped until the mm exits, and the shared file. */
#define MNTORT_ANON	mntort_addr(MNTORT_ALL_PAGES + 1)
#define MNTORT_SHARED	mntort_addr(MNTORT_ALL_PAGES + 3)

struct mntort_slot *mntort_slots;
/* Where an mm is about to exit: unregistrations had better be there, too. */
struct mntort_slot *mntort_exit_slot;
static struct file *mntort_file;

void mntort_rmap_lock(void)
{
	i_mmap_lock_read(mntort_file->f_mapping);
}

void mntort_rmap_unlock(void)
{
	i_mmap_unlock_read(mntort_file->f_mapping);
}

static int mntort_touch(unsigned long addr)
{
	return put_user(0x5a, (u8 __user *)addr) ? -EFAULT : 0;
}

/* Runs with @mm in use by the calling kthread. */
static int mntort_populate(void)
{
	unsigned long addr;

	addr = vm_mmap(NULL, MNTORT_ANON, PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0);
	if (IS_ERR_VALUE(addr))
		return addr;
	addr = vm_mmap(mntort_file, MNTORT_SHARED, PAGE_SIZE,
		       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, 0);
	if (IS_ERR_VALUE(addr))
		return addr;
	return mntort_touch(MNTORT_ANON) ?: mntort_touch(MNTORT_SHARED);
}

static struct mm_struct *mntort_alloc_mm(void)
{
	struct mm_struct *mm = mm_alloc();
	int ret;

	if (!mm)
		return NULL;
	mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);
	kthread_use_mm(mm);
	ret = mntort_populate();
	kthread_unuse_mm(mm);
	if (ret) {
		mmput(mm);
		return NULL;
	}
	return mm;
}

/**
 * mntort_mm_create - make a new mm with the mappings that the test needs
 * @slot: where it will live
 *
 * Context: kthread.
 * Return: the mm with one reference, or NULL without memory.
 */
struct mntort_mm *mntort_mm_create(struct mntort_slot *slot)
{
	struct mntort_mm *m = kzalloc_obj(*m);

	if (!m)
		return NULL;
	m->mm = mntort_alloc_mm();
	if (!m->mm) {
		kfree(m);
		return NULL;
	}
	mmgrab(m->mm);
	kref_init(&m->kref);
	m->slot = slot;
	return m;
}

/**
 * mntort_mm_get - take a reference on the mm in a slot
 * @slot: slot
 * @old: prefer its predecessor, which has exited
 *
 * Return: the mm; it pins mm_count, not mm_users.
 */
struct mntort_mm *mntort_mm_get(struct mntort_slot *slot, bool old)
{
	struct mntort_mm *m;

	spin_lock(&mntort_lock);
	m = old && slot->old ? slot->old : slot->m;
	kref_get(&m->kref);
	spin_unlock(&mntort_lock);
	return m;
}

/**
 * mntort_mm_takes - how many subscribers of a kind the mm in a slot takes
 * @slot: slot
 * @intervals: interval subscribers, otherwise register/unregister ones
 *
 * Return: the number, which may be zero.
 */
int mntort_mm_takes(struct mntort_slot *slot, bool intervals)
{
	int nr;

	spin_lock(&mntort_lock);
	nr = intervals ? slot->m->ivs : slot->m->plain;
	spin_unlock(&mntort_lock);
	return nr;
}

void mntort_mm_ref(struct mntort_mm *m)
{
	kref_get(&m->kref);
}

/* Some are crowded, others often have no subscriber at all. */
static void mntort_mm_populate(struct mntort_mm *m, struct rnd_state *rnd)
{
	bool crowded = prandom_u32_state(rnd) % 2;

	m->plain = crowded ? MNTORT_PLAIN : prandom_u32_state(rnd) % 4;
	m->gets = crowded || prandom_u32_state(rnd) % 4 == 0;
	if (mntort_strict || m->id % 2)
		m->ivs = crowded ? MNTORT_IVS : prandom_u32_state(rnd) % 4;
}

static void mntort_mm_free(struct kref *kref)
{
	struct mntort_mm *m = container_of(kref, struct mntort_mm, kref);

	mmdrop(m->mm);
	kfree(m);
}

void mntort_mm_put(struct mntort_mm *m)
{
	kref_put(&m->kref, mntort_mm_free);
}

/* From here on nothing whole-mm is owed to anybody. */
static void mntort_exit_begin(struct mntort_mm *m)
{
	struct mntort_slot *slot = m->slot;
	int i;

	spin_lock(&mntort_lock);
	m->exiting = true;
	for (i = 0; i < MNTORT_SUBS; i++) {
		struct mntort_sub *sub = &slot->subs[i];
		bool live = sub->state == MNTORT_LIVE && sub->m == m;

		sub->exit_gen = live ? sub->gen : 0;
	}
	for (i = 0; i < MNTORT_IVS; i++) {
		struct mntort_iv *iv = &slot->ivs[i];
		bool live = iv->state == MNTORT_LIVE && iv->m == m;

		iv->exit_gen = live ? iv->gen : 0;
	}
	spin_unlock(&mntort_lock);
}

static void mntort_check_exited_iv(struct mntort_iv *iv)
{
	int releases = atomic_read(&iv->releases);
	int unmaps = atomic_read(&iv->unmaps);

	mntort_check(releases == 1,
		     "L release: RELEASE for iv=%d#%u: expected 1 got %d",
		     iv->index, iv->gen, releases);
	mntort_check(unmaps, "L release: no UNMAP in exit for iv=%d#%u",
		     iv->index, iv->gen);
	if (unmaps)
		mntort_count(exit_unmaps);
}

static void mntort_exit_end(struct mntort_mm *m)
{
	struct mntort_slot *slot = m->slot;
	int i;

	spin_lock(&mntort_lock);
	m->exited = true;
	for (i = 0; i < MNTORT_SUBS; i++) {
		struct mntort_sub *sub = &slot->subs[i];
		int releases = atomic_read(&sub->releases);

		if (sub->state != MNTORT_LIVE || !sub->exit_gen ||
		    sub->gen != sub->exit_gen)
			continue;
		mntort_count(exit_releases);
		mntort_check(releases == 1,
			     "L release: exit of mm %d#%lu, sub=%d#%u: expected 1 got %d",
			     slot->index, m->id, i, sub->gen, releases);
	}
	for (i = 0; i < MNTORT_IVS; i++) {
		struct mntort_iv *iv = &slot->ivs[i];

		if (iv->state == MNTORT_LIVE && iv->exit_gen &&
		    iv->gen == iv->exit_gen)
			mntort_check_exited_iv(iv);
	}
	spin_unlock(&mntort_lock);
}

/* Consumes the slot's reference on an mm that has been replaced. */
static void mntort_exit(struct mntort_thread *th, struct mntort_mm *m)
{
	struct mntort_mm *old;

	/* Sections find it there, by the reverse map so to say. */
	spin_lock(&mntort_lock);
	old = m->slot->old;
	m->slot->old = m;
	spin_unlock(&mntort_lock);
	if (old)
		mntort_mm_put(old);

	mntort_exit_begin(m);
	mntort_check(atomic_read(&m->mm->mm_users) == 1,
		     "E error: mm_users before exit: expected 1 got %d",
		     atomic_read(&m->mm->mm_users));
	th->exiting = m;
	WRITE_ONCE(mntort_exit_slot, m->slot);
	if (mntort_once_in(th, 2))
		usleep_range(10, 1000);
	mmput(m->mm);
	WRITE_ONCE(mntort_exit_slot, NULL);
	th->exiting = NULL;
	mntort_exit_end(m);
	mntort_count(exits);
}

/**
 * mntort_exit_step - let an mm exit after having put another in its place
 * @th: thread
 */
void mntort_exit_step(struct mntort_thread *th)
{
	struct mntort_slot *slot = mntort_random_slot(th);
	struct mntort_mm *m, *old;

	mntort_doing(th, "pause", -1);
	msleep(5 + mntort_random(th, 60));
	mntort_doing(th, "mm_alloc", slot->index);
	m = mntort_mm_create(slot);
	if (!m)
		return;

	mntort_doing(th, "exit", slot->index);
	down_write(&slot->sem);
	spin_lock(&mntort_lock);
	old = slot->m;
	m->id = old->id + 1;
	mntort_mm_populate(m, &th->rnd);
	slot->m = m;
	spin_unlock(&mntort_lock);
	up_write(&slot->sem);
	mntort_exit(th, old);
}

/* Map some pages of the real window, touch them, and unmap them again. */
static void mntort_real(struct mntort_thread *th, struct mntort_mm *m)
{
	struct mntort_section *sec = &th->sec[0];
	int first = mntort_random(th, MNTORT_REAL_PAGES);
	int nr = 1 + mntort_random(th, MNTORT_REAL_PAGES - first);
	unsigned long addr, start = mntort_addr(MNTORT_PAGES + first);
	unsigned long len = nr * PAGE_SIZE;
	bool remap = mntort_once_in(th, 2);

	addr = vm_mmap(NULL, start, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0);
	if (!mntort_check(addr == start, "E error: vm_mmap: expected %lx got %lx",
			  start, addr) || mntort_touch(start))
		return;

	mntort_section_init(sec, MNTORT_REAL, m, start, start + len);
	th->cur = sec;
	if (remap)
		addr = vm_mmap(NULL, start, len, PROT_READ,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0);
	else
		vm_munmap(start, len);
	th->cur = NULL;
	mntort_check(addr == start, "E error: vm_mmap: expected %lx got %lx",
		     start, addr);
	mntort_real_ended(sec);
	mntort_count(reals);
	if (remap)
		vm_munmap(start, len);
}

/**
 * mntort_real_step - real operations on an mm
 * @th: thread
 */
void mntort_real_step(struct mntort_thread *th)
{
	struct mntort_slot *slot = mntort_random_slot(th);
	int i;

	down_read(&slot->sem);
	mntort_doing(th, "real", slot->index);
	kthread_use_mm(slot->m->mm);
	for (i = 0; i < 16; i++)
		mntort_real(th, slot->m);
	kthread_unuse_mm(slot->m->mm);
	up_read(&slot->sem);
	usleep_range(100, 1000);
}

static int mntort_slot_init(struct mntort_slot *slot, int index,
			    struct rnd_state *rnd)
{
	init_rwsem(&slot->sem);
	spin_lock_init(&slot->ptl);
	slot->index = index;
	mntort_subs_init(slot);
	mntort_ivs_init(slot);
	slot->m = mntort_mm_create(slot);
	if (!slot->m)
		return -ENOMEM;
	slot->m->id = 1;
	mntort_mm_populate(slot->m, rnd);
	return 0;
}

/* Context: kthread. What is left behind on failure is left behind. */
int mntort_slots_init(struct rnd_state *rnd)
{
	int i, ret = 0;

	mntort_file = shmem_kernel_file_setup("mmu_notifier_torture", PAGE_SIZE,
					      EMPTY_VMA_FLAGS);
	if (IS_ERR(mntort_file))
		return PTR_ERR(mntort_file);
	mntort_slots = kzalloc_objs(*mntort_slots, mntort_nmms);
	if (!mntort_slots)
		return -ENOMEM;
	for (i = 0; i < mntort_nmms && !ret; i++)
		ret = mntort_slot_init(&mntort_slots[i], i, rnd);
	return ret;
}

/**
 * mntort_slots_exit - unregister everything and let every mm exit
 * @th: thread, the only one left
 */
void mntort_slots_exit(struct mntort_thread *th)
{
	int i;

	for (i = 0; i < mntort_nmms; i++) {
		struct mntort_slot *slot = &mntort_slots[i];

		/* Once with, once without subscribers. */
		if (i % 2)
			mntort_subs_exit(slot);
		mntort_doing(th, "exit", i);
		mntort_exit(th, slot->m);
		mntort_doing(th, "unregister", i);
		mntort_subs_exit(slot);
		mntort_doing(th, "remove", i);
		mntort_ivs_exit(slot);
		mntort_mm_put(slot->old);
	}
	kfree(mntort_slots);
	fput(mntort_file);
}
