// SPDX-License-Identifier: GPL-2.0
/*
 * Virtual machines come and go whatever happens to other processes.
 *
 * Another process has a callback of an MMU notifier blocked: no VM waits for
 * it, neither to be created nor to run nor to be destroyed. And no signal makes
 * KVM_CREATE_VM fail.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

/* This interface is private to the test driver, hence not in include/uapi */
#include <lib/test_mmu_notifier_uapi.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

#define DEVICE		"/dev/test_mmu_notifier"
#define STALL_MSECS	5000
#define LIMIT_MSECS	1000

#define VMAS		1000
#define CREATES		2000
#define PERIOD_USECS	50

static u64 now_usecs(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

/*
 * The other process
 */

static bool unmapped;

static void *unmap_thread(void *page)
{
	madvise(page, getpagesize(), MADV_DONTNEED);
	WRITE_ONCE(unmapped, true);
	return NULL;
}

static void behave(int dev, enum tmn_behaviour behaviour)
{
	struct tmn_behave behave = { .behaviour = behaviour };

	kvm_ioctl(dev, TMN_BEHAVE, &behave);
}

/* The driver logs a callback before it blocks it. */
static void wait_for_callback(int dev)
{
	struct tmn_record record = {};
	struct tmn_log log;

	do {
		usleep(1000);
		log = (struct tmn_log) {
			.records = (uintptr_t)&record,
			.nr = 1,
		};
		kvm_ioctl(dev, TMN_LOG, &log);
	} while (!log.nr || record.callback != TMN_RANGE_START);
}

/*
 * Have a callback blocked until the other end of @end is closed, but not for
 * ever. Fails if it was not blocked all the while.
 */
static void other_process(int end)
{
	struct pollfd closed = { .fd = end, .events = POLLIN };
	struct tmn_mirror mirror = { .manner = TMN_KVM };
	pthread_t thread;
	bool blocked;
	void *page;
	int dev;

	page = kvm_mmap(getpagesize(), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(page, 1, getpagesize());
	mirror.addr = (uintptr_t)page;
	mirror.size = getpagesize();
	dev = open_path_or_exit(DEVICE, O_RDWR);
	kvm_ioctl(dev, TMN_MIRROR, &mirror);
	behave(dev, TMN_BLOCK);
	pthread_create(&thread, NULL, unmap_thread, page);
	wait_for_callback(dev);

	test_write(end, "", 1);
	poll(&closed, 1, STALL_MSECS);
	blocked = !READ_ONCE(unmapped);
	behave(dev, TMN_OBEY);
	pthread_join(thread, NULL);
	_exit(!blocked);
}

/*
 * A VM of its own, which runs once
 */

static void guest_code(void)
{
	GUEST_DONE();
}

struct life {
	u64 create;
	u64 run;
	u64 destroy;
};

static struct life live(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct life life;
	u64 start;

	start = now_usecs();
	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	life.create = now_usecs() - start;

	start = now_usecs();
	vcpu_run(vcpu);
	life.run = now_usecs() - start;
	TEST_ASSERT(get_ucall(vcpu, NULL) == UCALL_DONE,
		    "the guest ends with exit reason %u",
		    vcpu->run->exit_reason);

	start = now_usecs();
	kvm_vm_free(vm);
	life.destroy = now_usecs() - start;
	return life;
}

static void print_life(const char *when, const struct life *life)
{
	ksft_print_msg("%s: create %lu us, run %lu us, destroy %lu us\n", when,
		       life->create, life->run, life->destroy);
}

static void quick(const char *what, u64 usecs)
{
	ksft_test_result(usecs < LIMIT_MSECS * 1000,
			 "%s does not wait for another process\n", what);
}

static void test_stall(void)
{
	struct life life;
	int ends[2], status;
	pid_t child;
	char ready;

	life = live();
	print_life("alone", &life);

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends),
		    "socketpair: %s", strerror(errno));
	child = fork();
	TEST_ASSERT(child >= 0, "fork: %s", strerror(errno));
	if (!child) {
		close(ends[0]);
		other_process(ends[1]);
	}
	close(ends[1]);
	test_read(ends[0], &ready, 1);
	life = live();
	close(ends[0]);
	TEST_ASSERT(waitpid(child, &status, 0) == child && !status,
		    "the callback was not blocked all the while: status 0x%x",
		    status);

	print_life("beside a blocked callback", &life);
	quick("creating a VM", life.create);
	quick("running a VM", life.run);
	quick("destroying a VM", life.destroy);
}

/*
 * Signals
 */

static u64 signals;

static void count_signal(int signal)
{
	signals++;
}

/* Holes between them keep the kernel from merging them. */
static void map_vmas(void)
{
	size_t size = getpagesize();
	char *mem = kvm_mmap(2 * VMAS * size, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int i;

	for (i = 0; i < VMAS; i++) {
		kvm_munmap(mem + (2 * i + 1) * size, size);
		TEST_ASSERT(!mprotect(mem + 2 * i * size, size,
				      PROT_READ | PROT_WRITE),
			    "mprotect: %s", strerror(errno));
		mem[2 * i * size] = 1;
	}
}

static void set_timer(unsigned int usecs)
{
	struct itimerval timer = {
		.it_value.tv_usec = usecs,
		.it_interval.tv_usec = usecs,
	};

	TEST_ASSERT(!setitimer(ITIMER_REAL, &timer, NULL), "setitimer: %s",
		    strerror(errno));
}

static void test_signals(void)
{
	struct sigaction action = {
		.sa_handler = count_signal,
		.sa_flags = SA_RESTART,
	};
	int kvm = open_kvm_dev_path_or_exit();
	int interrupted = 0;
	int i, vm;

	map_vmas();
	sigaction(SIGALRM, &action, NULL);
	set_timer(PERIOD_USECS);
	for (i = 0; i < CREATES; i++) {
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
		if (vm >= 0)
			close(vm);
		else if (errno == EINTR)
			interrupted++;
		else
			TEST_FAIL("KVM_CREATE_VM: %s", strerror(errno));
	}
	set_timer(0);
	close(kvm);

	ksft_print_msg("%d of %d creates interrupted, %lu signals\n",
		       interrupted, CREATES, signals);
	TEST_ASSERT(signals >= CREATES, "only %lu signals came", signals);
	ksft_test_result(!interrupted, "no signal interrupts KVM_CREATE_VM\n");
}

int main(void)
{
	ksft_print_header();
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_USER_MEMORY));
	__TEST_REQUIRE(!access(DEVICE, R_OK | W_OK), DEVICE " is needed");
	ksft_set_plan(4);
	test_stall();
	test_signals();
	ksft_finished();
}
