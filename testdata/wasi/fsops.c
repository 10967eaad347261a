// fsops DIR: does one thing after another with what is in an empty folder, and prints each with its result: "ok", a number,
// a text, or the name of the error. What it made, it takes away.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *error_name(int error) {
	switch (error) {
#define NAME(e) case e: return #e
		NAME(EACCES);
		NAME(EBADF);
		NAME(EBUSY);
		NAME(EEXIST);
		NAME(EINVAL);
		NAME(EIO);
		NAME(EISDIR);
		NAME(ELOOP);
		NAME(EMLINK);
		NAME(ENAMETOOLONG);
		NAME(ENOENT);
		NAME(ENOSPC);
		NAME(ENOSYS);
		NAME(ENOTCAPABLE);
		NAME(ENOTDIR);
		NAME(ENOTEMPTY);
		NAME(ENOTSUP);
		NAME(EPERM);
		NAME(EROFS);
		NAME(ESPIPE);
		NAME(EXDEV);
#undef NAME
	}
	return strerror(error);
}

// Prints what was done, and how it went: an error, or the result if it tells more than "ok".
static long long step(const char *what, long long result) {
	if (result < 0) {
		printf("%s: %s\n", what, error_name(errno));
	} else if (result > 0) {
		printf("%s: %lld\n", what, result);
	} else {
		printf("%s: ok\n", what);
	}
	return result;
}

static void show(const char *what, const char *text, ssize_t length) {
	if (step(what, length) >= 0) printf("\t%.*s\n", (int)length, text);
}

static void folders(int dir) {
	step("mkdir a", mkdirat(dir, "a", 0777));
	step("mkdir a again", mkdirat(dir, "a", 0777));
	step("mkdir a/b", mkdirat(dir, "a/b", 0777));
	step("mkdir none/b", mkdirat(dir, "none/b", 0777));
	step("rmdir a", unlinkat(dir, "a", AT_REMOVEDIR));
}

static void contents(int dir) {
	char text[64];
	int fd = openat(dir, "a/f", O_RDWR | O_CREAT | O_EXCL, 0666);
	step("create a/f", fd < 0 ? -1 : 0);
	step("create a/f again", openat(dir, "a/f", O_RDWR | O_CREAT | O_EXCL, 0666));
	step("write", write(fd, "hello, files", 12));
	step("seek to 7", lseek(fd, 7, SEEK_SET));
	show("read", text, read(fd, text, sizeof text));
	step("read at the end", read(fd, text, sizeof text));
	step("seek to -1", lseek(fd, -1, SEEK_SET));
	show("pread at 3", text, pread(fd, text, 4, 3));
	step("pwrite at 0", pwrite(fd, "HELLO", 5, 0));
	step("position", lseek(fd, 0, SEEK_CUR));
	step("seek beyond the end", lseek(fd, 3, SEEK_END));
	step("write beyond the end", write(fd, "!", 1));
	step("truncate to 5", ftruncate(fd, 5));
	step("size", lseek(fd, 0, SEEK_END));
	step("sync", fsync(fd));
	step("close", close(fd));
	step("close again", close(fd));

	fd = openat(dir, "a/f", O_WRONLY | O_APPEND);
	step("append", write(fd, " again", 6));
	step("read what is write-only", read(fd, text, sizeof text));
	close(fd);
	fd = openat(dir, "a/f", O_RDONLY);
	step("write what is read-only", write(fd, "x", 1));
	show("read all", text, read(fd, text, sizeof text));
	close(fd);
}

static void attributes(int dir) {
	struct timespec times[2] = {{1000000000, 5000}, {1234567890, 123456000}};
	struct stat info;
	step("utime a/f", utimensat(dir, "a/f", times, 0));
	if (step("stat a/f", fstatat(dir, "a/f", &info, 0)) == 0) {
		printf("\tsize %lld, links %llu, accessed %lld.%09ld, modified %lld.%09ld\n", (long long)info.st_size,
			(unsigned long long)info.st_nlink, (long long)info.st_atim.tv_sec, info.st_atim.tv_nsec,
			(long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
	}
	step("stat none", fstatat(dir, "none", &info, 0));
	step("stat a/f/x", fstatat(dir, "a/f/x", &info, 0));
}

static void links(int dir) {
	char text[64];
	struct stat info;
	step("link a/f a/hard", linkat(dir, "a/f", dir, "a/hard", 0));
	step("link a/f a/hard again", linkat(dir, "a/f", dir, "a/hard", 0));
	if (step("stat a/hard", fstatat(dir, "a/hard", &info, 0)) == 0) {
		printf("\tlinks %llu\n", (unsigned long long)info.st_nlink);
	}
	step("symlink ./f a/soft", symlinkat("./f", dir, "a/soft"));
	step("symlink ./f a/soft again", symlinkat("./f", dir, "a/soft"));
	show("readlink a/soft", text, readlinkat(dir, "a/soft", text, sizeof text));
	show("readlink a/soft in 1 byte", text, readlinkat(dir, "a/soft", text, 1));
	step("readlink a/f", readlinkat(dir, "a/f", text, sizeof text));
	if (step("lstat a/soft", fstatat(dir, "a/soft", &info, AT_SYMLINK_NOFOLLOW)) == 0) {
		printf("\t%s\n", S_ISLNK(info.st_mode) ? "symbolic link" : "something else");
	}
	int fd = openat(dir, "a/soft", O_RDONLY);
	show("read through a/soft", text, fd < 0 ? -1 : read(fd, text, sizeof text));
	if (fd >= 0) close(fd);
	step("open a/soft itself", openat(dir, "a/soft", O_RDONLY | O_NOFOLLOW));
	step("symlink loop loop", symlinkat("loop", dir, "loop"));
	step("open loop", openat(dir, "loop", O_RDONLY));
	step("symlink ../.. a/out", symlinkat("../..", dir, "a/out"));
	step("open a/out/x", openat(dir, "a/out/x", O_RDONLY));
}

static void names(int dir) {
	step("rename a/f a/b/g", renameat(dir, "a/f", dir, "a/b/g"));
	step("rename a/f a/b/g again", renameat(dir, "a/f", dir, "a/b/g"));
	step("rename a a/b/a", renameat(dir, "a", dir, "a/b/a"));
	step("rename a/b/g a", renameat(dir, "a/b/g", dir, "a"));
	step("rename a/b/g a/hard", renameat(dir, "a/b/g", dir, "a/hard"));
	step("open a folder to write", openat(dir, "a", O_WRONLY));
	step("open a/hard as a folder", openat(dir, "a/hard", O_RDONLY | O_DIRECTORY));
	step("unlink a", unlinkat(dir, "a", 0));
	step("rmdir a/hard", unlinkat(dir, "a/hard", AT_REMOVEDIR));
}

static void removal(int dir) {
	static const char *const files[] = {"a/b/g", "a/hard", "a/soft", "a/out", "loop", "none"};
	char what[32];
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(what, sizeof what, "unlink %s", files[i]);
		step(what, unlinkat(dir, files[i], 0));
	}
	step("rmdir a/b", unlinkat(dir, "a/b", AT_REMOVEDIR));
	step("rmdir a", unlinkat(dir, "a", AT_REMOVEDIR));
}

int main(int argc, char **argv) {
	const char *path = argc > 1 ? argv[1] : ".";
	int dir = open(path, O_RDONLY | O_DIRECTORY);
	if (dir < 0) {
		fprintf(stderr, "fsops: %s: %s\n", path, error_name(errno));
		return 1;
	}
	folders(dir);
	contents(dir);
	attributes(dir);
	links(dir);
	names(dir);
	removal(dir);
	return 0;
}
