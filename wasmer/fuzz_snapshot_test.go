package wasmer_test

import (
	"encoding/binary"
	mathbits "math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// blake3 is the digest that a snapshot ends with: who forges one can make it too.
//
// See https://github.com/BLAKE3-team/BLAKE3-specs/blob/master/blake3.pdf
func blake3(data []byte) [32]byte {
	const chunkStart, chunkEnd, parent, root = 1, 2, 4, 8
	iv := [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
	permutation := [16]int{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8}
	columns := [8][4]int{{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15}, {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14}}
	compress := func(value [8]uint32, m [16]uint32, counter uint64, size, flags uint32) (out [8]uint32) {
		v := [16]uint32{8: iv[0], iv[1], iv[2], iv[3], uint32(counter), uint32(counter >> 32), size, flags}
		copy(v[:8], value[:])
		for range 7 {
			for n, c := range columns {
				for half, turns := range [2][2]int{{16, 12}, {8, 7}} {
					v[c[0]] += v[c[1]] + m[2*n+half]
					v[c[3]] = mathbits.RotateLeft32(v[c[3]]^v[c[0]], -turns[0])
					v[c[2]] += v[c[3]]
					v[c[1]] = mathbits.RotateLeft32(v[c[1]]^v[c[2]], -turns[1])
				}
			}
			var next [16]uint32
			for n, from := range permutation {
				next[n] = m[from]
			}
			m = next
		}
		for n := range out {
			out[n] = v[n] ^ v[n+8]
		}
		return out
	}
	var tree func(data []byte, counter uint64, flags uint32) [8]uint32
	tree = func(data []byte, counter uint64, flags uint32) [8]uint32 {
		if len(data) > 1024 {
			left := 1024 << (mathbits.Len(uint(len(data)-1)/1024) - 1)
			var m [16]uint32
			for n, half := range [2][8]uint32{tree(data[:left], counter, 0), tree(data[left:], counter+uint64(left)/1024, 0)} {
				copy(m[8*n:], half[:])
			}
			return compress(iv, m, 0, 64, flags|parent)
		}
		value, flag := iv, uint32(chunkStart)
		for {
			var block [64]byte
			size := copy(block[:], data)
			data = data[size:]
			var m [16]uint32
			for n := range m {
				m[n] = binary.LittleEndian.Uint32(block[4*n:])
			}
			if len(data) == 0 {
				return compress(value, m, counter, uint32(size), flag|chunkEnd|flags)
			}
			value, flag = compress(value, m, counter, 64, flag), 0
		}
	}
	var digest [32]byte
	for n, word := range tree(data, 0, root) {
		binary.LittleEndian.PutUint32(digest[4*n:], word)
	}
	return digest
}

// forge gives the bytes the digest that they should have.
func forge(data []byte) []byte {
	if len(data) >= 32 {
		digest := blake3(data[:len(data)-32])
		copy(data[len(data)-32:], digest[:])
	}
	return data
}

// useSnapshot makes what it can of bytes from anybody: no snapshot, or one with which nothing happens but what guests can do.
func useSnapshot(t testing.TB, module *wasmer.Module, data []byte) (used bool) {
	snapshot, err := module.UnmarshalSnapshot(data)
	if err != nil {
		require.ErrorIs(t, err, wasmer.ErrSnapshot)
		return false
	}
	defer snapshot.Close()
	i, err := wasmer.InstantiateFrom(background, snapshot, doubling())
	if err != nil {
		require.ErrorIs(t, err, wasmer.ErrResource)
		return false
	}
	defer i.Close()
	for _, export := range i.List(wasmer.ExternFunction) {
		args := make([]any, len(export.Type.Function.Params))
		for n, param := range export.Type.Function.Params {
			args[n] = 1
			if param.IsReference() {
				args[n] = nil
			}
		}
		_, _ = function(t, i, export.Name).Call(background, args...) // may trap
	}
	require.NoError(t, i.Reset(background))
	return true
}

func TestHostileSnapshots(t *testing.T) {
	require.Equal(t, byte(0xaf), func() byte { d := blake3(nil); return d[0] }())
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, stateful)
		i, err := wasmer.Instantiate(background, module, doubling())
		require.NoError(t, err)
		defer i.Close()
		run(t, i, "change")
		whole := marshal(t, snapshotOf(t, i))
		require.True(t, useSnapshot(t, module, whole))
		require.Equal(t, whole, forge(append([]byte(nil), whole...)), "the digest is that of the library")

		for n := range len(whole) {
			if n < 300 || n%397 == 0 {
				require.False(t, useSnapshot(t, module, whole[:n]), "cut off at %d", n)
				require.False(t, useSnapshot(t, module, forge(append([]byte(nil), whole[:n]...))), "cut off at %d, and signed again", n)
				changed := append([]byte(nil), whole...)
				changed[n] ^= 1 << (n % 8)
				require.False(t, useSnapshot(t, module, changed), "byte %d changed", n)
			}
		}
		_, err = compile(t, engine, `(module)`).UnmarshalSnapshot(whole)
		require.ErrorIs(t, err, wasmer.ErrSnapshot)
		require.ErrorContains(t, err, "of another module")
		_, err = module.UnmarshalSnapshot(forge(append([]byte("WASMERGS\x09"), whole[9:]...)))
		require.ErrorContains(t, err, "version 9")
		require.False(t, useSnapshot(t, module, nil))

		random, used := rand.New(rand.NewPCG(1, 2)), 0
		for range 300 {
			forged := append([]byte(nil), whole...)
			for range 1 + random.IntN(3) {
				at := 44 + random.IntN(400) // behind the digest of the module
				switch random.IntN(3) {
				case 0:
					forged[at] = byte(random.Uint32())
				case 1:
					binary.LittleEndian.PutUint32(forged[at:], random.Uint32())
				default:
					forged[at]++
				}
			}
			if useSnapshot(t, module, forge(forged)) {
				used++
			}
		}
		require.Positive(t, used, "some only have other contents")
	})
}

func FuzzSnapshot(f *testing.F) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(f, err)
	f.Cleanup(func() { _ = engine.Close() })
	module := compile(f, engine, stateful)
	i, err := wasmer.Instantiate(background, module, doubling())
	require.NoError(f, err)
	f.Add(marshal(f, snapshotOf(f, i)))
	run(f, i, "change")
	f.Add(marshal(f, snapshotOf(f, i)))
	f.Add([]byte("WASMERGS\x01\x00\x00\x00"))
	require.NoError(f, i.Close())
	f.Fuzz(func(t *testing.T, data []byte) {
		useSnapshot(t, module, data)
		useSnapshot(t, module, forge(append([]byte(nil), data...)))
	})
}
