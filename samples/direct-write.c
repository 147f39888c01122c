// SPDX-License-Identifier: GPL-2.0
/*
 * direct-write FILE: makes a file and writes 256 KiB to it around the page cache: first into a hole, which needs blocks and a
 * new size, then over the same blocks, which needs neither. See it with `tools/trace direct-write file`.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE (256 * 1024)

int main(int argc, char *argv[])
{
	void *buffer;
	int fd, round;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		return 2;
	}
	if (posix_memalign(&buffer, 4096, SIZE)) {
		fprintf(stderr, "no memory\n");
		return 1;
	}
	memset(buffer, 'x', SIZE);
	fd = open(argv[1], O_CREAT | O_RDWR | O_DIRECT, 0644);
	if (fd < 0) {
		fprintf(stderr, "open %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (round = 0; round < 2; round++) {
		if (pwrite(fd, buffer, SIZE, 0) != SIZE) {
			fprintf(stderr, "write: %s\n", strerror(errno));
			return 1;
		}
	}
	if (close(fd)) {
		fprintf(stderr, "close: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}
