package gojs

import (
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// The kinds of files in a mode.
const (
	modeKind      = 0o170000
	modeFIFO      = 0o010000
	modeCharacter = 0o020000
	modeDirectory = 0o040000
	modeBlock     = 0o060000
	modeRegular   = 0o100000
	modeLink      = 0o120000
	modeSocket    = 0o140000
)

// modes are what programs see of the kinds of files. Mounts have no permissions: what is refused is refused when it is
// tried.
var modes = map[wasip1.FileType]uint32{
	wasip1.TypeUnknown:         modeFIFO | 0o644,
	wasip1.TypeBlockDevice:     modeBlock | 0o644,
	wasip1.TypeCharacterDevice: modeCharacter | 0o644,
	wasip1.TypeDirectory:       modeDirectory | 0o755,
	wasip1.TypeRegular:         modeRegular | 0o644,
	wasip1.TypeSocketDatagram:  modeSocket | 0o644,
	wasip1.TypeSocketStream:    modeSocket | 0o644,
	wasip1.TypeSymbolicLink:    modeLink | 0o777,
}

func fsStat(g *guest, a *arguments) (value, error)  { return statPath(g, a, true) }
func fsLstat(g *guest, a *arguments) (value, error) { return statPath(g, a, false) }

func statPath(g *guest, a *arguments, follow bool) (value, error) {
	dir, path, err := a.path(0)
	if err != nil {
		return nil, err
	}
	stat, err := dir.Stat(path, follow)
	if err != nil {
		return nil, err
	}
	return g.newStat(stat)
}

func fsFstat(g *guest, a *arguments) (value, error) {
	d, err := a.file(0)
	if err != nil {
		return nil, err
	}
	stat, err := d.stat()
	if err != nil {
		return nil, err
	}
	return g.newStat(stat)
}

func (g *guest) newStat(s wasip1.Stat) (*object, error) {
	const block = 512
	o := &object{prototype: g.prototypes.stat}
	o.properties.list = []property{
		{"dev", identity(s.Device)},
		{"ino", identity(s.Inode)},
		{"mode", float64(modes[s.Type])},
		{"nlink", float64(s.Links)},
		{"uid", 0.0}, {"gid", 0.0}, {"rdev", 0.0},
		{"size", float64(s.Size)},
		{"blksize", 4096.0},
		{"blocks", float64((s.Size + block - 1) / block)},
		{"atimeMs", statTime(s.Accessed)}, {"mtimeMs", statTime(s.Modified)}, {"ctimeMs", statTime(s.Changed)},
	}
	return o, g.charge(objectSize + propertySize*int64(len(o.properties.list)))
}

// identity is a number that tells files apart, as far as a float64 does.
func identity(id uint64) float64 { return float64(id & (1<<53 - 1)) }

func statTime(nanoseconds int64) float64 { return float64(nanoseconds / int64(time.Millisecond)) }

// statIs makes a method of a stat that compares the kind of file.
func statIs(kind uint32) callable {
	return func(g *guest, this value, _ []value) (value, error) {
		o, ok := this.(*object)
		if !ok {
			return nil, g.typeError("Method called on incompatible receiver of type " + typeOf(this))
		}
		return toUint32(o.get("mode"))&modeKind == kind, nil
	}
}

var statMethods = map[string]callable{
	"isDirectory":    statIs(modeDirectory),
	"isFile":         statIs(modeRegular),
	"isSymbolicLink": statIs(modeLink),
}
