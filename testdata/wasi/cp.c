// cp [-r] SOURCE TARGET: copies a file, or with -r a tree of folders, files and symbolic links.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool recursive;

static int complain(const char *path) {
	fprintf(stderr, "cp: %s: %s\n", path, strerror(errno));
	return 1;
}

static int copy_bytes(int from, const char *source, int to, const char *target) {
	static char buffer[64 << 10];
	ssize_t n;
	while ((n = read(from, buffer, sizeof buffer)) > 0) {
		for (ssize_t done = 0, wrote; done < n; done += wrote) {
			wrote = write(to, buffer + done, n - done);
			if (wrote < 0) return complain(target);
		}
	}
	return n < 0 ? complain(source) : 0;
}

static int copy_file(const char *source, const char *target) {
	int from = open(source, O_RDONLY);
	if (from < 0) return complain(source);
	int to = open(target, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	int failed = to < 0 ? complain(target) : copy_bytes(from, source, to, target);
	close(from);
	if (to >= 0 && close(to) < 0) failed |= complain(target);
	return failed;
}

static int copy_link(const char *source, const char *target) {
	char text[PATH_MAX];
	ssize_t n = readlink(source, text, sizeof text - 1);
	if (n < 0) return complain(source);
	text[n] = 0;
	return symlink(text, target) < 0 ? complain(target) : 0;
}

static int copy(const char *source, const char *target);

static int copy_folder(const char *source, const char *target) {
	DIR *dir = opendir(source);
	if (dir == NULL) return complain(source);
	int failed = mkdir(target, 0777) < 0 && errno != EEXIST ? complain(target) : 0;
	errno = 0;
	for (struct dirent *entry; !failed && (entry = readdir(dir)) != NULL; errno = 0) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
		char from[PATH_MAX], to[PATH_MAX];
		snprintf(from, sizeof from, "%s/%s", source, entry->d_name);
		snprintf(to, sizeof to, "%s/%s", target, entry->d_name);
		failed = copy(from, to);
	}
	if (!failed && errno != 0) failed = complain(source);
	closedir(dir);
	return failed;
}

static int copy(const char *source, const char *target) {
	struct stat info;
	if (lstat(source, &info) < 0) return complain(source);
	if (S_ISDIR(info.st_mode)) {
		errno = EISDIR;
		return recursive ? copy_folder(source, target) : complain(source);
	}
	if (recursive && S_ISLNK(info.st_mode)) return copy_link(source, target);
	return copy_file(source, target);
}

int main(int argc, char **argv) {
	if (argc > 1 && strcmp(argv[1], "-r") == 0) {
		recursive = true;
		argv++;
		argc--;
	}
	if (argc != 3) {
		fputs("usage: cp [-r] SOURCE TARGET\n", stderr);
		return 2;
	}
	return copy(argv[1], argv[2]);
}
