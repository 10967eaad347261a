// Compresses 1 MiB of made-up text, in the snappy block format, several times.
#include "../guest.h"

#define TEXT_SIZE (1u << 20)
#define BLOCK (1u << 16) /* a match never reaches over a block: offsets fit in 16 bits */
#define TABLE_BITS 14
#define ROUNDS 20

static uint8_t text[TEXT_SIZE];
static uint8_t packed[TEXT_SIZE + TEXT_SIZE / 6 + 32]; // the worst case of the format
static uint8_t unpacked[TEXT_SIZE];

static const char *const words[] = {
	"the ", "of ", "and ", "to ", "a ", "in ", "memory ", "module ", "is ",
	"function ", "that ", "for ", "table ", "with ", "value ", "as ", "host ",
	"guest ", "import ", "export ", "instance ", "page ", "stack ", "trap ",
	"call ", "result ", "engine ", "it ", "never ", "grows, ", "returns. ",
	"\n",
};

static void generate(uint32_t seed)
{
	uint32_t at = 0, state = seed;
	while (at < TEXT_SIZE) {
		state = state * 1664525u + 1013904223u;
		const char *w = words[state >> 27];
		while (*w && at < TEXT_SIZE)
			text[at++] = (uint8_t)*w++;
		// A number now and then: text that no earlier text matches.
		for (uint32_t n = state >> 13; (state >> 20 & 7) == 0 && n && at < TEXT_SIZE; n /= 10)
			text[at++] = (uint8_t)('0' + n % 10);
	}
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;
	__builtin_memcpy(&v, p, sizeof v);
	return v;
}

static uint32_t hash(uint32_t v)
{
	return v * 0x1e35a7bdu >> (32 - TABLE_BITS);
}

static uint8_t *put_literal(uint8_t *out, const uint8_t *from, uint32_t len)
{
	uint32_t n = len - 1;
	if (n < 60) {
		*out++ = (uint8_t)(n << 2);
	} else if (n < 256) {
		*out++ = 60 << 2;
		*out++ = (uint8_t)n;
	} else {
		*out++ = 61 << 2;
		*out++ = (uint8_t)n;
		*out++ = (uint8_t)(n >> 8);
	}
	copy_bytes(out, from, len);
	return out + len;
}

static uint8_t *put_copy16(uint8_t *out, uint32_t offset, uint32_t len)
{
	*out++ = (uint8_t)((len - 1) << 2 | 2);
	*out++ = (uint8_t)offset;
	*out++ = (uint8_t)(offset >> 8);
	return out;
}

static uint8_t *put_copy(uint8_t *out, uint32_t offset, uint32_t len)
{
	// Never leaves a rest below 4, which the short form cannot express.
	for (; len >= 68; len -= 64)
		out = put_copy16(out, offset, 64);
	if (len > 64) {
		out = put_copy16(out, offset, 60);
		len -= 60;
	}
	if (len > 11 || offset >= 2048)
		return put_copy16(out, offset, len);
	*out++ = (uint8_t)(offset >> 8 << 5 | (len - 4) << 2 | 1);
	*out++ = (uint8_t)offset;
	return out;
}

static uint8_t *compress_block(uint8_t *out, const uint8_t *in, uint32_t size)
{
	static uint16_t table[1 << TABLE_BITS];
	for (uint32_t i = 0; i < 1 << TABLE_BITS; i++)
		table[i] = 0;
	uint32_t at = 1, done = 0;
	uint32_t misses = 32;
	while (at + 4 <= size) {
		uint32_t v = load32(in + at);
		uint16_t *slot = &table[hash(v)];
		uint32_t before = *slot;
		*slot = (uint16_t)at;
		if (load32(in + before) != v) {
			// Hurry through what does not compress.
			at += misses++ >> 5;
			continue;
		}
		if (at > done)
			out = put_literal(out, in + done, at - done);
		uint32_t len = 4;
		while (at + len < size && in[before + len] == in[at + len])
			len++;
		out = put_copy(out, at - before, len);
		at += len;
		done = at;
		misses = 32;
	}
	return done < size ? put_literal(out, in + done, size - done) : out;
}

static uint32_t compress(uint8_t *out, const uint8_t *in, uint32_t size)
{
	uint8_t *to = out;
	uint32_t n = size;
	for (; n >= 128; n >>= 7)
		*to++ = (uint8_t)(n | 128);
	*to++ = (uint8_t)n;
	for (uint32_t at = 0; at < size; at += BLOCK)
		to = compress_block(to, in + at, size - at < BLOCK ? size - at : BLOCK);
	return (uint32_t)(to - out);
}

// Returns the size, or 0 for anything but well-formed input of the right size.
static uint32_t decompress(uint8_t *out, uint32_t room, const uint8_t *in, uint32_t size)
{
	const uint8_t *end = in + size;
	uint32_t want = 0, to = 0;
	for (int shift = 0; in < end; shift += 7) {
		uint8_t b = *in++;
		want |= (uint32_t)(b & 127) << shift;
		if (b < 128)
			break;
	}
	if (want > room)
		return 0;
	while (in < end) {
		uint32_t tag = *in++, len, offset;
		switch (tag & 3) {
		case 0:
			len = tag >> 2;
			if (len == 60) {
				len = in[0];
				in += 1;
			} else if (len == 61) {
				len = in[0] | in[1] << 8;
				in += 2;
			}
			len++;
			if (to + len > want)
				return 0;
			copy_bytes(out + to, in, len);
			in += len;
			to += len;
			continue;
		case 1:
			len = (tag >> 2 & 7) + 4;
			offset = tag >> 5 << 8 | in[0];
			in += 1;
			break;
		case 2:
			len = (tag >> 2) + 1;
			offset = (uint32_t)(in[0] | in[1] << 8);
			in += 2;
			break;
		default:
			return 0;
		}
		if (offset == 0 || offset > to || to + len > want)
			return 0;
		// Byte by byte: source and target may overlap.
		for (; len; len--, to++)
			out[to] = out[to - offset];
	}
	return to == want ? to : 0;
}

// The compressed bytes of all rounds together, or -1 if the last does not
// decompress to what it was made from.
EXPORT("app_main") int32_t app_main(void)
{
	uint32_t total = 0, size = 0;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		generate(round + 1);
		size = compress(packed, text, TEXT_SIZE);
		total += size;
	}
	if (decompress(unpacked, TEXT_SIZE, packed, size) != TEXT_SIZE)
		return -1;
	for (uint32_t i = 0; i < TEXT_SIZE; i++)
		if (unpacked[i] != text[i])
			return -1;
	return (int32_t)total;
}
