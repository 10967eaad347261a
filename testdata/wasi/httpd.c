// httpd FD N: answers N HTTP/1.1 requests on the listening socket FD, one connection each. The response's body is the
// request's method, path and body length.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	char head[8 << 10]; // up to the empty line, NUL-terminated
	size_t body;        // the bytes of the body so far
	size_t length;      // its size, by the header
};

static int complain(const char *what) {
	fprintf(stderr, "httpd: %s: %s\n", what, strerror(errno));
	return -1;
}

// A socket may be non-blocking: whoever passed it in decides.
static int await(int fd, short events) {
	struct pollfd p = {.fd = fd, .events = events};
	return poll(&p, 1, -1) < 0 ? complain("poll") : 0;
}

static int next_connection(int listener) {
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd >= 0) return fd;
		if (errno != EAGAIN) return complain("accept");
		if (await(listener, POLLIN) < 0) return -1;
	}
}

static ssize_t receive(int fd, void *buffer, size_t size) {
	for (;;) {
		ssize_t n = recv(fd, buffer, size, 0);
		if (n > 0) return n;
		if (n == 0) errno = ECONNRESET;
		if (n == 0 || errno != EAGAIN) return complain("recv");
		if (await(fd, POLLIN) < 0) return -1;
	}
}

static int send_all(int fd, const char *data, size_t size) {
	while (size > 0) {
		ssize_t n = send(fd, data, size, 0);
		if (n < 0 && errno != EAGAIN) return complain("send");
		if (n < 0 && await(fd, POLLOUT) < 0) return -1;
		if (n > 0) data += n, size -= n;
	}
	return 0;
}

static size_t content_length(const char *head) {
	static const char name[] = "\r\ncontent-length:";
	for (; *head != 0; head++) {
		if (strncasecmp(head, name, sizeof name - 1) == 0) return strtoul(head + sizeof name - 1, NULL, 10);
	}
	return 0;
}

static int read_request(int fd, struct request *r) {
	size_t have = 0;
	char *end = NULL;
	while (end == NULL) {
		if (have == sizeof r->head - 1) {
			errno = EMSGSIZE;
			return complain("request");
		}
		ssize_t n = receive(fd, r->head + have, sizeof r->head - 1 - have);
		if (n < 0) return -1;
		r->head[have += n] = 0;
		end = strstr(r->head, "\r\n\r\n");
	}
	r->body = r->head + have - (end + 4);
	*end = 0;
	r->length = content_length(r->head);
	static char rest[16 << 10];
	while (r->body < r->length) {
		ssize_t n = receive(fd, rest, sizeof rest);
		if (n < 0) return -1;
		r->body += n;
	}
	return 0;
}

static int serve(int fd) {
	static struct request r;
	static char method[16], path[1024], body[1100], response[1300];
	if (read_request(fd, &r) < 0) return -1;
	if (sscanf(r.head, "%15s %1023s", method, path) != 2) return send_all(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	int length = snprintf(body, sizeof body, "%s %s %zu\n", method, path, r.body);
	int n = snprintf(response, sizeof response,
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", length, body);
	return send_all(fd, response, n);
}

int main(int argc, char **argv) {
	if (argc != 3) {
		fputs("usage: httpd FD N\n", stderr);
		return 2;
	}
	for (int n = atoi(argv[2]); n > 0; n--) {
		int fd = next_connection(atoi(argv[1]));
		if (fd < 0 || serve(fd) < 0) return 1;
		shutdown(fd, SHUT_RDWR);
		close(fd);
	}
	return 0;
}
