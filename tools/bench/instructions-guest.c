// SPDX-License-Identifier: GPL-2.0
/*
 * The part of tools/bench/instructions that runs in the guest: instructions-guest DIR prints a line `OPERATION\tNANOSECONDS`
 * for each operation, per time it is done. Where a nanosecond is an instruction these are instructions.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, COUNT = 512, FEW = 64 };

static char block[BLOCK] __attribute__((aligned(BLOCK)));

/* must(VALUE): VALUE, unless it says that a call failed. */
#define must(call) ({ __typeof__(call) value_ = (call); if ((long)value_ < 0) err(1, #call); value_; })

static const char *name_of(const char *kind, int number)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s/%d", kind, number);
	return name;
}

static void drop_caches(void)
{
	int file;

	sync();
	file = must(open("/proc/sys/vm/drop_caches", O_WRONLY));
	must(write(file, "3", 1));
	close(file);
}

/* A file of @blocks blocks that are on the disk. */
static int filled(const char *name, int blocks)
{
	int file = must(open(name, O_CREAT | O_TRUNC | O_RDWR, 0644));

	for (int at = 0; at < blocks; at++)
		must(pwrite(file, block, BLOCK, (off_t)at * BLOCK));
	must(fsync(file));
	return file;
}

static struct timespec started;

static void begin(void)
{
	clock_gettime(CLOCK_MONOTONIC, &started);
}

static void end(const char *operation, int count)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%s\t%lld\n", operation,
	       ((now.tv_sec - started.tv_sec) * 1000000000LL + now.tv_nsec - started.tv_nsec) / count);
}

static void data(void)
{
	int file = filled("data", COUNT);
	char *area;

	begin();
	for (int at = 0; at < COUNT; at++)
		must(pwrite(file, block, BLOCK, (off_t)at * BLOCK));
	end("overwrite 4 KiB in the page cache", COUNT);
	begin();
	must(fsync(file));
	end("write them back, each", COUNT);
	begin();
	for (int at = 0; at < COUNT; at++)
		must(pread(file, block, BLOCK, (off_t)at * BLOCK));
	end("read 4 KiB from the page cache", COUNT);
	drop_caches();
	begin();
	for (int at = 0; at < COUNT; at++)
		must(pread(file, block, BLOCK, (off_t)at * BLOCK));
	end("read 4 KiB from the disk, sequentially", COUNT);
	area = mmap(NULL, COUNT * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (area == MAP_FAILED)
		err(1, "mmap");
	begin();
	for (int at = 0; at < COUNT; at++)
		area[at * BLOCK] = 1;
	end("first store to a mapped page", COUNT);
	munmap(area, COUNT * BLOCK);
	close(file);

	file = must(open("appended", O_CREAT | O_TRUNC | O_RDWR, 0644));
	begin();
	for (int at = 0; at < COUNT; at++)
		must(write(file, block, BLOCK));
	end("append 4 KiB in the page cache", COUNT);
	begin();
	must(fsync(file));
	end("allocate and write them, each", COUNT);
	begin();
	must(ftruncate(file, 0));
	end("truncate them, each", COUNT);
	close(file);
}

static void direct(void)
{
	int file = filled("direct", COUNT);

	close(file);
	file = must(open("direct", O_RDWR | O_DIRECT));
	begin();
	for (int at = 0; at < COUNT; at++)
		must(pwrite(file, block, BLOCK, (off_t)at * BLOCK));
	end("direct overwrite of 4 KiB", COUNT);
	begin();
	for (int at = 0; at < COUNT; at++)
		must(pread(file, block, BLOCK, (off_t)at * BLOCK));
	end("direct read of 4 KiB", COUNT);
	close(file);
}

static void durable(void)
{
	int file = filled("durable", FEW);

	begin();
	for (int at = 0; at < FEW; at++) {
		must(pwrite(file, block, BLOCK, (off_t)at * BLOCK));
		must(fsync(file));
	}
	end("overwrite 4 KiB and fsync", FEW);
	begin();
	for (int at = 0; at < FEW; at++) {
		must(pwrite(file, block, BLOCK, (off_t)(FEW + at) * BLOCK));
		must(fsync(file));
	}
	end("append 4 KiB and fsync", FEW);
	close(file);
}

static void names(void)
{
	struct stat found;
	struct dirent *entry;
	DIR *folder;
	int entries = 0;

	must(mkdir("names", 0755));
	begin();
	for (int number = 0; number < COUNT; number++)
		close(must(open(name_of("names", number), O_CREAT | O_EXCL | O_WRONLY, 0644)));
	end("create an empty file", COUNT);
	begin();
	for (int number = 0; number < COUNT; number++)
		must(stat(name_of("names", number), &found));
	end("stat of a cached name", COUNT);
	drop_caches();
	begin();
	for (int number = 0; number < COUNT; number++)
		must(stat(name_of("names", number), &found));
	end("stat of a name that is not cached", COUNT);
	begin();
	for (int number = 0; number < COUNT; number++)
		if (!stat(name_of("names", COUNT + number), &found))
			errx(1, "a name too many");
	end("stat of a name that does not exist", COUNT);
	begin();
	folder = opendir("names");
	while ((entry = readdir(folder)))
		entries++;
	closedir(folder);
	end("read a directory, each name", entries);
	begin();
	for (int number = 0; number < COUNT; number++) {
		char old[64];

		strcpy(old, name_of("names", number));
		must(rename(old, name_of("names", COUNT + number)));
	}
	end("rename", COUNT);
	begin();
	for (int number = 0; number < COUNT; number++)
		must(chmod(name_of("names", COUNT + number), 0600));
	end("chmod", COUNT);
	begin();
	sync();
	end("sync after that, each", COUNT);
	begin();
	for (int number = 0; number < COUNT; number++)
		must(unlink(name_of("names", COUNT + number)));
	end("unlink an empty file", COUNT);
	begin();
	for (int number = 0; number < FEW; number++)
		must(mkdir(name_of("names", number), 0755));
	end("mkdir", FEW);
	begin();
	for (int number = 0; number < FEW; number++)
		must(rmdir(name_of("names", number)));
	end("rmdir", FEW);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(1, "usage: instructions-guest DIR");
	must(chdir(argv[1]));
	memset(block, 'x', BLOCK);
	data();
	direct();
	durable();
	names();
	return 0;
}
