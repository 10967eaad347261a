#include "heap.h"

#define WAPC(name) IMPORT("wapc", name)

WAPC("__guest_request") void guest_request(char *op, char *payload);
WAPC("__guest_response") void guest_response(const char *ptr, uint32_t len);
WAPC("__guest_error") void guest_error(const char *ptr, uint32_t len);
WAPC("__host_call")
uint32_t host_call(const char *binding, uint32_t binding_len,
                   const char *space, uint32_t space_len,
                   const char *op, uint32_t op_len,
                   const char *payload, uint32_t payload_len);
WAPC("__host_response_len") uint32_t host_response_len(void);
WAPC("__host_response") void host_response(char *ptr);
WAPC("__host_error_len") uint32_t host_error_len(void);
WAPC("__host_error") void host_error(char *ptr);
WAPC("__console_log") void console_log(const char *ptr, uint32_t len);

// A literal and its length, as the two arguments the protocol takes.
#define TEXT(s) (s), (uint32_t)(sizeof(s) - 1)

struct request {
	char *op;
	uint32_t op_len;
	char *payload;
	uint32_t payload_len;
};

static char *must_alloc(uint32_t size)
{
	char *ptr = heap_alloc(size);
	if (!ptr)
		__builtin_trap();
	return ptr;
}

static int is(const struct request *r, const char *name, uint32_t len)
{
	if (r->op_len != len)
		return 0;
	for (uint32_t i = 0; i < len; i++)
		if (r->op[i] != name[i])
			return 0;
	return 1;
}

static uint32_t upper(const struct request *r)
{
	uint32_t ok = host_call(TEXT("b"), TEXT("text"), TEXT("upper"),
	                        r->payload, r->payload_len);
	uint32_t len = ok ? host_response_len() : host_error_len();
	char *answer = must_alloc(len);
	if (ok) {
		host_response(answer);
		guest_response(answer, len);
	} else {
		host_error(answer);
		guest_error(answer, len);
	}
	heap_free(answer);
	return ok;
}

static uint32_t unknown(const struct request *r)
{
	static const char head[] = "unknown operation: ";
	uint32_t len = sizeof head - 1 + r->op_len;
	char *message = must_alloc(len);
	copy_bytes(message, head, sizeof head - 1);
	copy_bytes(message + sizeof head - 1, r->op, r->op_len);
	guest_error(message, len);
	heap_free(message);
	return 0;
}

static uint32_t dispatch(const struct request *r)
{
	if (is(r, TEXT("echo"))) {
		guest_response(r->payload, r->payload_len);
		return 1;
	}
	if (is(r, TEXT("upper")))
		return upper(r);
	if (is(r, TEXT("log"))) {
		console_log(r->payload, r->payload_len);
		guest_response(TEXT(""));
		return 1;
	}
	if (is(r, TEXT("fail"))) {
		guest_error(TEXT("guest says no"));
		return 0;
	}
	return unknown(r);
}

EXPORT("__guest_call") uint32_t guest_call(uint32_t op_len, uint32_t payload_len)
{
	struct request r = {
		must_alloc(op_len), op_len, must_alloc(payload_len), payload_len,
	};
	guest_request(r.op, r.payload);
	uint32_t ok = dispatch(&r);
	heap_free(r.payload);
	heap_free(r.op);
	return ok;
}
