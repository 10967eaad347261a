// A first-fit allocator over an address-ordered free list. Neighbours are
// joined again when freed, so that alternating use does not eat the memory.
#ifndef HEAP_H
#define HEAP_H

#include "guest.h"

#define PAGE 65536u
#define UNIT 16u /* the largest alignment a wasm32 type asks for */
#define LIVE 0x4c495645u

struct block {
	uint32_t size; // whole block, header included
	uint32_t asked;
	uint32_t mark; // LIVE while handed out: a wrong or second free traps
	struct block *next;
};

_Static_assert(sizeof(struct block) == UNIT, "payloads must stay aligned");

extern unsigned char __heap_base; // placed by the linker

static struct block *heap_free_list;
static uint32_t heap_end;
static uint32_t heap_live_count;

static void heap_insert(struct block *b)
{
	struct block **link = &heap_free_list;
	struct block *before = 0;
	while (*link && *link < b) {
		before = *link;
		link = &before->next;
	}
	b->next = *link;
	b->mark = 0;
	*link = b;
	if (b->next && (uint32_t)b + b->size == (uint32_t)b->next) {
		b->size += b->next->size;
		b->next = b->next->next;
	}
	if (before && (uint32_t)before + before->size == (uint32_t)b) {
		before->size += b->size;
		before->next = b->next;
	}
}

static void heap_add_region(uint32_t from, uint32_t to)
{
	struct block *b = (struct block *)from;
	b->size = to - from;
	heap_insert(b);
}

static int heap_extend(uint32_t size)
{
	if (!heap_end) {
		uint32_t from = ((uint32_t)&__heap_base + UNIT - 1) & ~(UNIT - 1);
		heap_end = __builtin_wasm_memory_size(0) * PAGE;
		if (heap_end - from >= 2 * UNIT) {
			heap_add_region(from, heap_end);
			return 1;
		}
	}
	uint32_t pages = (size + PAGE - 1) / PAGE;
	size_t old = __builtin_wasm_memory_grow(0, pages);
	if (old == (size_t)-1)
		return 0;
	// Not heap_end: the host may have grown the memory meanwhile.
	heap_end = (uint32_t)(old + pages) * PAGE;
	heap_add_region((uint32_t)old * PAGE, heap_end);
	return 1;
}

static void *heap_alloc(uint32_t asked)
{
	// The bound keeps every sum below from wrapping around.
	if (asked > 0x7fff0000u)
		return 0;
	uint32_t size = ((asked ? asked : 1) + UNIT - 1) / UNIT * UNIT + UNIT;
	do {
		struct block **link = &heap_free_list;
		for (struct block *b; (b = *link); link = &b->next) {
			if (b->size < size)
				continue;
			if (b->size - size >= 2 * UNIT) {
				struct block *rest = (struct block *)((uint32_t)b + size);
				rest->size = b->size - size;
				rest->mark = 0;
				rest->next = b->next;
				*link = rest;
				b->size = size;
			} else {
				*link = b->next;
			}
			b->asked = asked;
			b->mark = LIVE;
			b->next = 0;
			heap_live_count++;
			return b + 1;
		}
	} while (heap_extend(size));
	return 0;
}

static struct block *heap_block(void *ptr)
{
	struct block *b = (struct block *)ptr - 1;
	if ((uint32_t)ptr % UNIT || b->mark != LIVE)
		__builtin_trap();
	return b;
}

static void heap_free(void *ptr)
{
	if (!ptr)
		return;
	heap_insert(heap_block(ptr));
	heap_live_count--;
}

// For interfaces that take the size back: a host that lies about it is a bug
// that a test should see.
__attribute__((unused)) static void heap_free_sized(void *ptr, uint32_t size)
{
	if (ptr && heap_block(ptr)->asked != size)
		__builtin_trap();
	heap_free(ptr);
}

#endif
