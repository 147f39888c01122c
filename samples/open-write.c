// SPDX-License-Identifier: GPL-2.0
/*
 * open-write FILE: makes a file and writes twelve bytes to it, which stay in the page cache until the kernel writes them
 * back. See them travel with `tools/trace open-write file`.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
	static const char text[] = "hello world\n";
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		return 2;
	}
	fd = open(argv[1], O_CREAT | O_RDWR, 0644);
	if (fd < 0) {
		fprintf(stderr, "open %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	if (write(fd, text, sizeof(text) - 1) != sizeof(text) - 1) {
		fprintf(stderr, "write: %s\n", strerror(errno));
		return 1;
	}
	if (close(fd)) {
		fprintf(stderr, "close: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}
