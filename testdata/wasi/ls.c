// ls [-R] [DIR...]: lists folders, sorted by name, a line for each entry: its type (f, d, l or ?), the size of a file or of a
// link's target, and the path. Of "." if none is named.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool recursive;
static int failed;

static void complain(const char *path) {
	fprintf(stderr, "ls: %s: %s\n", path, strerror(errno));
	failed = 1;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// The names in a folder but "." and "..", or -1 for the number of them.
static int names_of(const char *path, char ***names) {
	DIR *dir = opendir(path);
	if (dir == NULL) return -1;
	int n = 0, room = 0;
	*names = NULL;
	errno = 0;
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
		if (n == room) *names = realloc(*names, (room = 2 * room + 16) * sizeof **names);
		(*names)[n++] = strdup(entry->d_name);
	}
	int error = errno;
	closedir(dir);
	errno = error;
	if (error != 0) return -1;
	qsort(*names, n, sizeof **names, by_name);
	return n;
}

static void list(const char *dir);

static void show(const char *path) {
	struct stat info;
	if (lstat(path, &info) < 0) {
		complain(path);
		return;
	}
	if (S_ISDIR(info.st_mode)) {
		printf("d - %s\n", path);
		if (recursive) list(path);
		return;
	}
	printf("%c %lld %s\n", S_ISREG(info.st_mode) ? 'f' : S_ISLNK(info.st_mode) ? 'l' : '?', (long long)info.st_size, path);
}

static void list(const char *dir) {
	char **names;
	int n = names_of(dir, &names);
	if (n < 0) complain(dir);
	size_t length = strlen(dir);
	const char *separator = length > 0 && dir[length - 1] == '/' ? "" : "/";
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		if ((size_t)snprintf(path, sizeof path, "%s%s%s", dir, separator, names[i]) >= sizeof path) {
			errno = ENAMETOOLONG;
			complain(names[i]);
		} else {
			show(path);
		}
		free(names[i]);
	}
	if (n >= 0) free(names);
}

int main(int argc, char **argv) {
	int i = 1;
	if (i < argc && strcmp(argv[i], "-R") == 0) {
		recursive = true;
		i++;
	}
	if (i == argc) list(".");
	for (; i < argc; i++) list(argv[i]);
	return failed;
}
