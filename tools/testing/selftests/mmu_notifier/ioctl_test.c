// SPDX-License-Identifier: GPL-2.0
/* The device itself: what it refuses, and how it behaves when told to. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "device.h"
#include "manner.h"

#define PAGES	8

/* A device, and memory for it to mirror */
struct target {
	const struct manner *manner;
	int dev;
	size_t page;
	size_t size;
	char *addr;
};

FIXTURE(device) {
	struct target t;
};

FIXTURE_VARIANT(device) {
	const struct manner *manner;
};

FIXTURE_VARIANT_ADD(device, kvm) {
	.manner = &manner_kvm,
};

FIXTURE_VARIANT_ADD(device, kvm_holding) {
	.manner = &manner_kvm_holding,
};

FIXTURE_VARIANT_ADD(device, gru) {
	.manner = &manner_gru,
};

FIXTURE_VARIANT_ADD(device, xpmem) {
	.manner = &manner_xpmem,
};

FIXTURE_SETUP(device)
{
	struct target *t = &self->t;

	t->manner = variant->manner;
	t->dev = device_open();
	if (t->dev == -ENOENT)
		SKIP(return, "no /dev/test_mmu_notifier");
	ASSERT_LE(0, t->dev);
	t->page = sysconf(_SC_PAGESIZE);
	t->size = PAGES * t->page;
	t->addr = mmap(NULL, t->size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, t->addr);
	memset(t->addr, 'a', t->size);
}

FIXTURE_TEARDOWN(device)
{
	struct target *t = &self->t;

	if (t->dev >= 0)
		close(t->dev);
}

static int mirror(const struct target *t)
{
	return device_mirror(t->dev, t->addr, t->size, t->manner->manner,
			     t->manner->flags);
}

TEST_F(device, mirror_of_bad_range_fails)
{
	struct target *t = &self->t;
	const struct manner *manner = variant->manner;
	char *top = (char *)-t->page;

	EXPECT_EQ(-EINVAL, device_mirror(t->dev, t->addr, 0,
					 manner->manner, 0));
	EXPECT_EQ(-EINVAL, device_mirror(t->dev, t->addr + 1, t->page,
					 manner->manner, 0));
	EXPECT_EQ(-EINVAL, device_mirror(t->dev, t->addr, t->page + 1,
					 manner->manner, 0));
	EXPECT_EQ(-EINVAL, device_mirror(t->dev, top, 2 * t->page,
					 manner->manner, 0));
	/* None of that has used the device up */
	EXPECT_EQ(0, mirror(t));
}

TEST_F(device, mirror_of_bad_manner_or_flags_fails)
{
	struct target *t = &self->t;
	const struct manner *manner = variant->manner;

	EXPECT_EQ(-EINVAL, device_mirror(t->dev, t->addr, t->size,
					 TMN_MANNERS, 0));
	EXPECT_EQ(-EINVAL, device_mirror(t->dev, t->addr, t->size,
					 manner->manner, 1u << 31));
	if (manner->manner != TMN_KVM)
		EXPECT_EQ(-EINVAL, device_mirror(t->dev, t->addr,
						 t->size, manner->manner,
						 TMN_HOLD_PAGES));
	EXPECT_EQ(0, mirror(t));
}

TEST_F(device, second_mirror_is_busy)
{
	struct target *t = &self->t;

	ASSERT_EQ(0, mirror(t));
	EXPECT_EQ(-EBUSY, mirror(t));
}

TEST_F(device, access_without_mirror_fails)
{
	struct target *t = &self->t;
	struct tmn_check check;
	char c;

	EXPECT_GT(0, device_read(t->dev, t->addr, &c, 1));
	EXPECT_GT(0, device_write(t->dev, t->addr, &c, 1));
	EXPECT_GT(0, device_check(t->dev, &check));
}

TEST_F(device, access_outside_of_mirror_fails)
{
	struct target *t = &self->t;
	char *end = t->addr + t->size;
	char two[2];

	ASSERT_EQ(0, mirror(t));
	EXPECT_EQ(-EINVAL, device_read(t->dev, end, two, 1));
	EXPECT_EQ(-EINVAL, device_read(t->dev, end - 1, two, 2));
	EXPECT_EQ(-EINVAL, device_read(t->dev, t->addr - 1, two, 2));
	EXPECT_EQ(-EINVAL, device_write(t->dev, end, two, 1));
	EXPECT_EQ(-EINVAL, device_read(t->dev, end - 1, two, SIZE_MAX));
	EXPECT_LE(0, device_read(t->dev, end - 1, two, 1));
}

TEST_F(device, access_with_bad_buffer_fails)
{
	struct target *t = &self->t;

	ASSERT_EQ(0, mirror(t));
	EXPECT_EQ(-EFAULT, device_read(t->dev, t->addr, NULL, 1));
	EXPECT_EQ(-EFAULT, device_write(t->dev, t->addr, NULL, 1));
	EXPECT_EQ(-1, ioctl(t->dev, TMN_READ, NULL));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(device, unknown_ioctl_fails)
{
	struct target *t = &self->t;

	ASSERT_EQ(0, mirror(t));
	EXPECT_EQ(-1, ioctl(t->dev, _IO('N', 0x7f), NULL));
	EXPECT_EQ(ENOTTY, errno);
}

TEST_F(device, unknown_behaviour_fails)
{
	struct target *t = &self->t;

	ASSERT_EQ(0, mirror(t));
	EXPECT_EQ(-EINVAL, device_behave(t->dev, 1000, 0));
}

TEST_F(device, attach_to_what_is_no_segment_fails)
{
	struct target *t = &self->t;
	int dev = device_open(), null = open("/dev/null", O_RDONLY);
	struct tmn_attach reserved = { .fd = t->dev, .reserved = 1 };

	ASSERT_LE(0, dev);
	EXPECT_EQ(-EBADF, device_attach(dev, -1));
	EXPECT_GT(0, device_attach(dev, null));
	/* Not of a manner yet */
	EXPECT_GT(0, device_attach(dev, t->dev));
	EXPECT_GT(0, device_attach(dev, dev));

	ASSERT_EQ(0, mirror(t));
	EXPECT_EQ(-1, ioctl(dev, TMN_ATTACH, &reserved));
	EXPECT_EQ(EINVAL, errno);
	if (!variant->manner->attaches) {
		EXPECT_GT(0, device_attach(dev, t->dev));
	} else {
		EXPECT_EQ(0, device_attach(dev, t->dev));
		EXPECT_EQ(-EBUSY, device_attach(dev, t->dev));
	}
	close(dev);
	close(null);
}

TEST_F(device, device_of_another_process_is_not_mirrored_anew)
{
	struct target *t = &self->t;
	int status;
	pid_t pid;

	ASSERT_EQ(0, mirror(t));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char c = 0;

		/* Inherited: still the parent's memory */
		*t->addr = 'c';
		if (mirror(t) != -EBUSY)
			_exit(1);
		if (device_read(t->dev, t->addr, &c, 1) < 0)
			_exit(2);
		_exit(c == 'a' ? 0 : 3);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Mirror, and have the device write to every page; that takes one fault each */
static bool fill(const struct target *t)
{
	if (mirror(t))
		return false;
	for (size_t i = 0; i < t->size; i += t->page) {
		if (device_write(t->dev, t->addr + i, "d", 1) != 1)
			return false;
	}
	return true;
}

/* The test of all others: a driver that drops nothing is found out */
TEST_F(device, forgetful_device_is_stale)
{
	struct target *t = &self->t;
	struct tmn_check check;

	ASSERT_TRUE(fill(t));
	ASSERT_EQ(0, device_check(t->dev, &check));
	EXPECT_EQ(PAGES, check.ptes);
	EXPECT_EQ(PAGES, check.writable);
	EXPECT_EQ(0, check.stale);
	EXPECT_EQ(TMN_STALE_NONE, check.reason);

	ASSERT_EQ(0, device_behave(t->dev, TMN_FORGET, 0));
	ASSERT_EQ(0, madvise(t->addr + t->page, 2 * t->page,
			     MADV_DONTNEED));
	ASSERT_EQ(0, device_check(t->dev, &check));
	EXPECT_EQ(PAGES, check.ptes);
	EXPECT_EQ(2, check.stale);
	EXPECT_EQ(TMN_STALE_UNMAPPED, check.reason);
	EXPECT_EQ((uintptr_t)t->addr + t->page, check.addr);

	/* Others are there now */
	memset(t->addr, 'b', t->size);
	ASSERT_EQ(0, device_check(t->dev, &check));
	EXPECT_EQ(2, check.stale);
	EXPECT_EQ(TMN_STALE_OTHER_PAGE, check.reason);

	/* Only the next one was forgotten */
	ASSERT_EQ(0, madvise(t->addr, t->size, MADV_DONTNEED));
	ASSERT_EQ(0, device_check(t->dev, &check));
	EXPECT_EQ(0, check.ptes);
	EXPECT_EQ(0, check.stale);
}

TEST_F(device, forgetful_device_is_stale_when_protected)
{
	struct target *t = &self->t;
	struct tmn_check check;

	ASSERT_TRUE(fill(t));
	ASSERT_EQ(0, device_behave(t->dev, TMN_FORGET, 0));
	ASSERT_EQ(0, mprotect(t->addr, t->page, PROT_READ));
	ASSERT_EQ(0, device_check(t->dev, &check));
	EXPECT_EQ(1, check.stale);
	EXPECT_EQ(TMN_STALE_WRITABLE, check.reason);
	EXPECT_EQ((uintptr_t)t->addr, check.addr);
}

static long msec_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

TEST_F(device, delayed_callbacks_delay_the_owner)
{
	struct target *t = &self->t;
	long before, after;

	ASSERT_TRUE(fill(t));
	ASSERT_EQ(0, device_behave(t->dev, TMN_DELAY, 100));
	before = msec_now();
	ASSERT_EQ(0, madvise(t->addr, t->size, MADV_DONTNEED));
	after = msec_now();
	EXPECT_LE(100, after - before);

	ASSERT_EQ(0, device_behave(t->dev, TMN_OBEY, 0));
	before = msec_now();
	ASSERT_EQ(0, madvise(t->addr, t->size, MADV_DONTNEED));
	after = msec_now();
	EXPECT_GT(100, after - before);
}

struct worker {
	const struct target *t;
	atomic_bool go;
	atomic_bool done;
	int ret;
};

static void *discard(void *arg)
{
	struct worker *worker = arg;

	worker->ret = madvise(worker->t->addr, worker->t->size,
			      MADV_DONTNEED);
	worker->done = true;
	return NULL;
}

static void *read_device(void *arg)
{
	struct worker *worker = arg;
	char c;

	while (!worker->go)
		usleep(1000);
	worker->ret = device_read(worker->t->dev, worker->t->addr,
				  &c, 1);
	worker->done = true;
	return NULL;
}

/* While a section is open, nobody gets a device pte in its range */
TEST_F(device, blocked_start_holds_faults_off)
{
	struct target *t = &self->t;
	struct worker owner = { .t = t };
	struct worker reader = { .t = t };
	pthread_t owner_thread, reader_thread;
	struct tmn_check check;

	ASSERT_TRUE(fill(t));
	/* A section holds the mmap_lock: no new thread can be made then */
	ASSERT_EQ(0, pthread_create(&reader_thread, NULL, read_device,
				    &reader));
	ASSERT_EQ(0, device_behave(t->dev, TMN_BLOCK, 0));
	ASSERT_EQ(0, pthread_create(&owner_thread, NULL, discard, &owner));
	usleep(200000);
	EXPECT_FALSE(owner.done);
	reader.go = true;
	usleep(200000);
	EXPECT_FALSE(owner.done);
	EXPECT_FALSE(reader.done);

	ASSERT_EQ(0, device_behave(t->dev, TMN_OBEY, 0));
	pthread_join(owner_thread, NULL);
	pthread_join(reader_thread, NULL);
	EXPECT_EQ(0, owner.ret);
	EXPECT_LE(0, reader.ret);
	ASSERT_EQ(0, device_check(t->dev, &check));
	EXPECT_EQ(0, check.stale);
}

TEST_HARNESS_MAIN
