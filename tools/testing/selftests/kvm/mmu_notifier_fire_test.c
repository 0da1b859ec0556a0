// SPDX-License-Identifier: GPL-2.0
/*
 * KVM under fire: a guest keeps its memory, whatever the host does with it.
 *
 * Two vCPUs write patterns into their memory and verify them in the next pass.
 * All the while, threads of the same process
 *
 *   - page the memory out, age it, collapse it into huge pages,
 *   - migrate it between two nodes,
 *   - leave what is equal in it to KSM,
 *   - replace pages of it by others,
 *   - create and destroy other VMs.
 *
 * Each vCPU has three areas. What it wrote into its data must stay there. Its
 * twins are pages of equal content for KSM to merge, but for some that differ
 * for one pass and must not change the others. A page of its scratch area is
 * replaced by the host, which then asks over a mailbox what the vCPU reads
 * there: an old page that is still mapped gives itself away.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <asm/barrier.h>

#include "kvm_util.h"
#include "numaif.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

#define NR_VCPUS		2
#define SLOT			10
#define GUEST_MEM		0xc0000000ul
#define WORDS			(4096 / sizeof(u64))
#define DATA_PAGES		1024
#define TWIN_PAGES		256
#define SCRATCH_PAGES		64
#define VCPU_PAGES		(DATA_PAGES + TWIN_PAGES)
#define SCRATCH			(NR_VCPUS * VCPU_PAGES)
#define PAGES			(SCRATCH + NR_VCPUS * SCRATCH_PAGES)

/* One twin of so many differs from the others */
#define ODD			16
/* A host thread takes on so many pages at once */
#define CHUNK			64

/*
 * Pages of content
 */

static u64 word(u64 page, u64 pass, u64 i)
{
	return ((page << 32) + pass + 1) * 0x9e3779b97f4a7c15ul + i;
}

static u64 twin_word(u64 page, u64 pass, u64 i)
{
	if (page % ODD == pass % ODD)
		return word(page, pass, i);
	return word(0, 0, i);
}

typedef u64 (*content_fn)(u64 page, u64 pass, u64 i);

static void fill(u64 *mem, content_fn content, u64 page, u64 pass)
{
	u64 i;

	for (i = 0; i < WORDS; i++)
		WRITE_ONCE(mem[i], content(page, pass, i));
}

/* The first word that is not as expected, or WORDS */
static u64 differs(const u64 *mem, content_fn content, u64 page, u64 pass)
{
	u64 i;

	for (i = 0; i < WORDS; i++) {
		if (READ_ONCE(mem[i]) != content(page, pass, i))
			break;
	}
	return i;
}

static u64 first_page(u64 id)
{
	return id * VCPU_PAGES;
}

static content_fn content_of(u64 page)
{
	return page % VCPU_PAGES < DATA_PAGES ? word : twin_word;
}

/*
 * The guest
 */

/**
 * struct mail - what does a vCPU read in a page of its scratch area?
 * @asked: counts the questions
 * @answered: the last one that was answered
 * @page: of the scratch area
 * @found: the first word there. The second gets its complement.
 */
struct mail {
	u64 asked;
	u64 answered;
	u64 page;
	u64 found;
};

static struct mail mails[NR_VCPUS];
static u64 stop;

static u64 *guest_page(u64 page)
{
	return (u64 *)(GUEST_MEM + page * 4096);
}

static void guest_answer(u64 id)
{
	struct mail *mail = &mails[id];
	u64 asked, *mem;

	/* Pairs with ask(): the page is the one that is asked for. */
	asked = smp_load_acquire(&mail->asked);
	if (asked == mail->answered)
		return;
	mem = guest_page(SCRATCH + id * SCRATCH_PAGES + mail->page);
	mail->found = READ_ONCE(mem[0]);
	WRITE_ONCE(mem[1], ~mail->found);
	/* Pairs with ask(): the answer is there. */
	smp_store_release(&mail->answered, asked);
}

static void guest_verify(u64 page, u64 pass)
{
	u64 *mem = guest_page(page);
	u64 i = differs(mem, content_of(page), page, pass);

	__GUEST_ASSERT(i == WORDS,
		       "page %lu, word %lu after pass %lu: 0x%lx, not 0x%lx",
		       page, i, pass, mem[i], content_of(page)(page, pass, i));
}

/* Most twins stay as they are: KSM merges no page that keeps changing. */
static bool guest_rewrites(u64 page, u64 pass)
{
	return pass == 1 || content_of(page) == word ||
	       page % ODD == pass % ODD || page % ODD == (pass - 1) % ODD;
}

static void guest_code(u64 id)
{
	u64 pass, page, end = first_page(id) + VCPU_PAGES;

	for (pass = 1; !READ_ONCE(stop); pass++) {
		for (page = first_page(id); page < end; page++) {
			if (pass > 1)
				guest_verify(page, pass - 1);
			if (guest_rewrites(page, pass))
				fill(guest_page(page), content_of(page), page,
				     pass);
			if (page % 16 == 0)
				guest_answer(id);
		}
		GUEST_SYNC(pass);
	}
	GUEST_DONE();
}

static void guest_short(void)
{
	GUEST_DONE();
}

/*
 * The host: what all threads see
 */

static u64 *memory;
static u64 passes[NR_VCPUS];
static bool over;

static u64 aged, paged_out, collapsed, reclaimed, migrated, nr_vms;
static long merged;
static int reclaim_fd;

static bool going_on(void)
{
	return !READ_ONCE(over);
}

static u64 *host_page(u64 page)
{
	return memory + page * WORDS;
}

static u64 *host_chunk(unsigned int *seed)
{
	return host_page(rand_r(seed) % (SCRATCH / CHUNK) * CHUNK);
}

static void *vcpu_thread(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;

	for (;;) {
		vcpu_run(vcpu);
		switch (get_ucall(vcpu, &uc)) {
		case UCALL_SYNC:
			WRITE_ONCE(passes[vcpu->id], uc.args[1]);
			break;
		case UCALL_DONE:
			return NULL;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
		default:
			TEST_FAIL("vCPU %u: exit reason %u", vcpu->id,
				  vcpu->run->exit_reason);
		}
	}
}

/*
 * What the host does to the memory
 */

/* Merged pages have many users, which MADV_PAGEOUT leaves alone. */
static void reclaim(void)
{
	reclaimed += write(reclaim_fd, "1M", 2) == 2;
}

/* Pages that are swapped or merged are not collapsed: have them written to. */
static void collapse(u64 *huge)
{
	if (!madvise(huge, 512 * 4096, MADV_POPULATE_WRITE))
		collapsed += !madvise(huge, 512 * 4096, MADV_COLLAPSE);
}

static void *reclaim_thread(void *unused)
{
	unsigned int seed = 1;

	while (going_on()) {
		u64 *chunk = host_chunk(&seed);
		u64 *huge = host_page(rand_r(&seed) % (SCRATCH / 512) * 512);

		switch (rand_r(&seed) % 8) {
		case 0:
			aged += !madvise(chunk, CHUNK * 4096, MADV_COLD);
			break;
		case 1:
			collapse(huge);
			break;
		case 2:
			reclaim();
			break;
		default:
			paged_out += !madvise(chunk, CHUNK * 4096,
					      MADV_PAGEOUT);
		}
		usleep(1000);
	}
	return NULL;
}

static void *migrate_thread(void *unused)
{
	int before[CHUNK], nodes[CHUNK], after[CHUNK];
	void *pages[CHUNK];
	unsigned int seed = 2;

	while (going_on()) {
		u64 *chunk = host_chunk(&seed);
		int i, node = rand_r(&seed) % 2;

		for (i = 0; i < CHUNK; i++) {
			pages[i] = chunk + i * WORDS;
			nodes[i] = node;
			before[i] = -1;
			after[i] = -1;
		}
		move_pages(0, CHUNK, pages, NULL, before, 0);
		move_pages(0, CHUNK, pages, nodes, after, MPOL_MF_MOVE);
		for (i = 0; i < CHUNK; i++)
			migrated += before[i] == !node && after[i] == node;
		usleep(1000);
	}
	return NULL;
}

static void *vm_thread(void *unused)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	while (going_on()) {
		vm = vm_create_with_one_vcpu(&vcpu, guest_short);
		vcpu_run(vcpu);
		TEST_ASSERT(get_ucall(vcpu, NULL) == UCALL_DONE,
			    "a short-lived VM: exit reason %u",
			    vcpu->run->exit_reason);
		kvm_vm_free(vm);
		nr_vms++;
	}
	return NULL;
}

/*
 * Pages that are replaced
 */

static bool by_discard(u64 *page)
{
	return !madvise(page, 4096, MADV_DONTNEED);
}

static bool by_mmap(u64 *page)
{
	return mmap(page, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page;
}

/* Not munmap() before mmap(): another thread could map something there. */
static bool by_mremap(u64 *page)
{
	void *other = kvm_mmap(4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1);

	memset(other, 0xa5, 4096);
	return mremap(other, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
		      page) == page;
}

/* The child keeps the old page, and the parent gets a copy when it writes. */
static bool by_fork(u64 *page)
{
	pid_t child = fork();

	if (!child) {
		pause();
		_exit(0);
	}
	if (child < 0)
		return false;
	WRITE_ONCE(page[2], page[2] + 1);
	kill(child, SIGKILL);
	return waitpid(child, NULL, 0) == child;
}

static struct way {
	const char *name;
	bool (*replace)(u64 *page);
	u64 done;
} ways[] = {
	{ "MADV_DONTNEED", by_discard },
	{ "mmap() over it", by_mmap },
	{ "mremap() over it", by_mremap },
	{ "fork() and a write", by_fork },
};

/*
 * Have a vCPU look at a page of its scratch area that holds a new stamp: it
 * must read that, and the page that it writes to must be ours.
 */
static void ask(struct mail *mail, u64 *page, u64 nr, const char *after)
{
	static u64 stamp = 1;
	int tries;

	stamp++;
	WRITE_ONCE(page[0], stamp);
	WRITE_ONCE(page[1], 0);
	mail->page = nr;
	/* Both pair with guest_answer(). */
	smp_store_release(&mail->asked, mail->asked + 1);
	for (tries = 0; tries < 600000; tries++) {
		/* What is found there belongs to this question. */
		if (smp_load_acquire(&mail->answered) == mail->asked)
			break;
		usleep(100);
	}
	TEST_ASSERT(mail->answered == mail->asked,
		    "after %s: the guest does not answer", after);
	TEST_ASSERT(mail->found == stamp,
		    "after %s: the guest reads 0x%lx, not 0x%lx, in page %lu",
		    after, mail->found, stamp, nr);
	TEST_ASSERT(READ_ONCE(page[1]) == ~stamp,
		    "after %s: the guest writes into another page than %lu",
		    after, nr);
}

static void *replace_thread(void *arg)
{
	struct mail *host_mails = arg;
	unsigned int seed = 3;

	while (going_on()) {
		u64 id = rand_r(&seed) % NR_VCPUS;
		u64 nr = rand_r(&seed) % SCRATCH_PAGES;
		u64 *page = host_page(SCRATCH + id * SCRATCH_PAGES + nr);
		struct way *way = &ways[rand_r(&seed) % ARRAY_SIZE(ways)];

		/* The guest maps what is then replaced. */
		ask(&host_mails[id], page, nr, "nothing");
		TEST_ASSERT(way->replace(page), "%s: %s", way->name,
			    strerror(errno));
		ask(&host_mails[id], page, nr, way->name);
		way->done++;
	}
	return NULL;
}

/*
 * Counters and knobs
 */

static u64 event_count(const char *name)
{
	FILE *file = fopen("/proc/vmstat", "r");
	char found[64];
	u64 value;

	TEST_ASSERT(file, "/proc/vmstat: %s", strerror(errno));
	while (fscanf(file, "%63s %lu", found, &value) == 2) {
		if (!strcmp(found, name)) {
			fclose(file);
			return value;
		}
	}
	fclose(file);
	return 0;
}

enum event {
	SWAP_OUT,
	SWAP_IN,
	MIGRATE,
	UNMERGE,
	EVENTS,
};

static const char * const events[EVENTS] = {
	[SWAP_OUT] = "pswpout",
	[SWAP_IN] = "pswpin",
	[MIGRATE] = "pgmigrate_success",
	[UNMERGE] = "cow_ksm",
};

static u64 before[EVENTS];

static u64 seen(enum event event)
{
	return event_count(events[event]) - before[event];
}

static void begin_to_count(void)
{
	int i;

	for (i = 0; i < EVENTS; i++)
		before[i] = event_count(events[i]);
}

/*
 * The guest and the threads find faults. There is reason for one only if all
 * of this happens.
 */
static bool guest_passes(void)
{
	return READ_ONCE(passes[0]) > 1 && READ_ONCE(passes[1]) > 1;
}

static bool pages_swapped(void)
{
	return seen(SWAP_OUT) && seen(SWAP_IN);
}

static bool cgroup_reclaimed(void)
{
	return READ_ONCE(reclaimed);
}

static bool pages_migrated(void)
{
	return READ_ONCE(migrated) && seen(MIGRATE);
}

static bool pages_merged(void)
{
	return merged && seen(UNMERGE);
}

static bool huge_pages_collapsed(void)
{
	return READ_ONCE(collapsed);
}

static bool vms_came(void)
{
	return READ_ONCE(nr_vms);
}

static const struct {
	const char *name;
	bool (*happened)(void);
} conditions[] = {
	{ "guest memory stays as it was written", guest_passes },
	{ "while pages are swapped", pages_swapped },
	{ "while a cgroup is reclaimed", cgroup_reclaimed },
	{ "while pages migrate between nodes", pages_migrated },
	{ "while KSM merges pages", pages_merged },
	{ "while huge pages are collapsed", huge_pages_collapsed },
	{ "while VMs come and go", vms_came },
};

static bool all_happened(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(conditions); i++) {
		if (!conditions[i].happened())
			return false;
	}
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!READ_ONCE(ways[i].done))
			return false;
	}
	return true;
}

static struct knob {
	const char *path;
	int value;
	int saved;
} knobs[] = {
	{ "/sys/kernel/mm/ksm/sleep_millisecs", 10 },
	{ "/sys/kernel/mm/ksm/pages_to_scan", 500 },
	{ "/sys/kernel/mm/ksm/run", 1 },
};

static long sysfs_read(const char *path)
{
	FILE *file = fopen(path, "r");
	long value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

static void sysfs_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	TEST_ASSERT(fd >= 0, "%s: %s", path, strerror(errno));
	test_write(fd, text, strlen(text));
	close(fd);
}

/* Also of a test that fails: it ends with exit(). */
static void turn_knobs_back(void)
{
	char text[16];
	int i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		snprintf(text, sizeof(text), "%d", knobs[i].saved);
		sysfs_write(knobs[i].path, text);
	}
}

static void turn_knobs(void)
{
	char text[16];
	int i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		knobs[i].saved = sysfs_read(knobs[i].path);
		snprintf(text, sizeof(text), "%d", knobs[i].value);
		sysfs_write(knobs[i].path, text);
	}
	atexit(turn_knobs_back);
}

#define CGROUPS	"/sys/fs/cgroup/"
#define CGROUP	CGROUPS "kvm_fire/"

static void leave_cgroup(void)
{
	close(reclaim_fd);
	sysfs_write(CGROUPS "cgroup.procs", "0");
	rmdir(CGROUP);
}

/* A cgroup of our own, so that nobody else is reclaimed */
static void enter_cgroup(void)
{
	sysfs_write(CGROUPS "cgroup.subtree_control", "+memory");
	mkdir(CGROUP, 0755);
	sysfs_write(CGROUP "cgroup.procs", "0");
	atexit(leave_cgroup);
	reclaim_fd = open(CGROUP "memory.reclaim", O_WRONLY);
	TEST_ASSERT(reclaim_fd >= 0, "memory.reclaim: %s", strerror(errno));
}

/*
 * The test
 */

static void look_for_merged_pages(void)
{
	long now = sysfs_read("/proc/self/ksm_merging_pages");

	if (now > merged)
		merged = now;
}

/* A busy machine may need more time until everything has happened. */
static void wait_for_the_end(int seconds)
{
	time_t start = time(NULL);
	bool ready;

	do {
		usleep(100000);
		look_for_merged_pages();
		ready = time(NULL) >= start + seconds && all_happened();
	} while (!ready && time(NULL) < start + 3 * seconds);
}

static void host_verify(void)
{
	u64 page, pass, i;

	for (page = 0; page < SCRATCH; page++) {
		pass = passes[page / VCPU_PAGES];
		i = differs(host_page(page), content_of(page),
			    page, pass);
		TEST_ASSERT(i == WORDS,
			    "page %lu, word %lu, the host sees 0x%lx after pass %lu, not 0x%lx",
			    page, i, host_page(page)[i], pass,
			    content_of(page)(page, pass, i));
	}
}

static void run_guest(struct kvm_vm *vm, struct kvm_vcpu **vcpus, int seconds)
{
	void *(*host[])(void *) = {
		reclaim_thread, migrate_thread, vm_thread, replace_thread,
	};
	pthread_t vcpu_threads[NR_VCPUS], threads[ARRAY_SIZE(host)];
	struct mail *host_mails = addr_gva2hva(vm, (gva_t)mails);
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		pthread_create(&vcpu_threads[i], NULL, vcpu_thread, vcpus[i]);
	for (i = 0; i < ARRAY_SIZE(host); i++)
		pthread_create(&threads[i], NULL, host[i], host_mails);

	wait_for_the_end(seconds);

	/* The guest answers to the last. */
	WRITE_ONCE(over, true);
	for (i = 0; i < ARRAY_SIZE(host); i++)
		pthread_join(threads[i], NULL);
	stop = 1;
	sync_global_to_guest(vm, stop);
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(vcpu_threads[i], NULL);
}

static struct kvm_vm *create_vm(struct kvm_vcpu **vcpus)
{
	struct kvm_vm *vm = vm_create_with_vcpus(NR_VCPUS, guest_code, vcpus);
	u64 i;

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS_THP, GUEST_MEM,
				    SLOT, PAGES, 0);
	virt_map(vm, GUEST_MEM, GUEST_MEM, PAGES);
	memory = addr_gpa2hva(vm, GUEST_MEM);
	TEST_ASSERT(!madvise(memory, SCRATCH * 4096, MADV_MERGEABLE),
		    "MADV_MERGEABLE: %s", strerror(errno));
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_args_set(vcpus[i], 1, i);
	return vm;
}

static void print_counters(void)
{
	int i;

	ksft_print_msg("%lu and %lu passes\n", passes[0], passes[1]);
	ksft_print_msg("pages: %lu swapped out, %lu in\n", seen(SWAP_OUT),
		       seen(SWAP_IN));
	ksft_print_msg("chunks: %lu paged out, %lu aged\n", paged_out, aged);
	ksft_print_msg("%lu times memory.reclaim\n", reclaimed);
	ksft_print_msg("pages: %lu migrated to the other node, %lu in all\n",
		       migrated, seen(MIGRATE));
	ksft_print_msg("pages: %ld merged at a time, %lu unmerged\n", merged,
		       seen(UNMERGE));
	ksft_print_msg("%lu huge pages collapsed\n", collapsed);
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		ksft_print_msg("pages: %lu replaced by %s\n", ways[i].done,
			       ways[i].name);
	ksft_print_msg("%lu VMs came and went\n", nr_vms);
}

static void report(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(conditions); i++)
		ksft_test_result(conditions[i].happened(), "%s\n",
				 conditions[i].name);
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		ksft_test_result(ways[i].done,
				 "the guest sees a new page after %s\n",
				 ways[i].name);
}

int main(int argc, char *argv[])
{
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct kvm_vm *vm;
	int seconds = 60;
	int opt;

	while ((opt = getopt(argc, argv, "s:")) != -1) {
		if (opt != 's')
			ksft_exit_fail_msg("usage: %s [-s SECONDS]\n", argv[0]);
		seconds = atoi_positive("Seconds", optarg);
	}

	ksft_print_header();
	TEST_REQUIRE(is_multi_numa_node_system());
	TEST_REQUIRE(thp_configured());
	__TEST_REQUIRE(!access(knobs[0].path, W_OK), "KSM is needed");
	__TEST_REQUIRE(!access(CGROUPS "cgroup.procs", W_OK),
		       "cgroup2 is needed");
	ksft_set_plan(ARRAY_SIZE(conditions) + ARRAY_SIZE(ways));

	enter_cgroup();
	turn_knobs();
	vm = create_vm(vcpus);
	begin_to_count();
	run_guest(vm, vcpus, seconds);
	print_counters();
	host_verify();
	kvm_vm_free(vm);

	report();
	ksft_finished();
}
