package wasmtest

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"sync"
)

// CollidingParams are the parameters of a function type without results, in the text format.
type CollidingParams []string

// String is the list in the text format: "(param i32 i64 ..)".
func (p CollidingParams) String() string { return "(param " + strings.Join(p, " ") + ")" }

// Constants pushes a zero for each parameter, in the text format.
func (p CollidingParams) Constants() string {
	var b strings.Builder
	for _, t := range p {
		b.WriteString("(" + t + ".const 0) ")
	}
	return b.String()
}

// SignatureHash is how wasmer identifies a function type: CRC32 of the numbers of results and parameters and of a byte
// for each of their types.
func SignatureHash(params []string) uint32 {
	code := map[string]byte{"i32": 0, "i64": 1, "f32": 2, "f64": 3, "v128": 4}
	data := binary.LittleEndian.AppendUint64(nil, 0)
	data = binary.LittleEndian.AppendUint64(data, uint64(len(params)))
	for _, t := range params {
		data = append(data, code[t])
	}
	return crc32.ChecksumIEEE(data)
}

// Collision finds two types of 40 parameters, i32 or i64, that have the same hash.
func Collision() (a, b CollidingParams) {
	pair := collision()
	return pair[0], pair[1]
}

var collision = sync.OnceValue(func() [2]CollidingParams {
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[uint32]uint64{}
	for {
		bits := random.Uint64() & (1<<40 - 1)
		params := collidingParams(bits)
		hash := SignatureHash(params)
		if other, ok := seen[hash]; ok && other != bits {
			return [2]CollidingParams{params, collidingParams(other)}
		}
		seen[hash] = bits
	}
})

func collidingParams(bits uint64) CollidingParams {
	params := make(CollidingParams, 40)
	for i := range params {
		params[i] = "i32"
		if bits>>i&1 == 1 {
			params[i] = "i64"
		}
	}
	return params
}
