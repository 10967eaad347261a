// Package blobcache keeps compiled modules in a store that many machines share: whatever gocloud.dev/blob has a driver for,
// as S3, Google Cloud Storage, Azure Blob Storage, a folder or memory. What one machine has compiled, the others load.
//
// It is a Go module of its own, so that package wasmer needs nothing of the clouds.
//
// A shared store crosses trust borders: an entry is machine code, and who can write the store can have code executed by every
// machine that reads it. Set EngineConfig.ArtifactKey, the same on all machines: entries that were not made with it are refused
// and compiled anew. Without it entries are protected from damage, not from forgery; then let only those write that are trusted as
// much as the program itself.
package blobcache

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// Cache is a wasmer.Cache in a bucket. Goroutines may share it. An entry of a key is a blob with the key's hexadecimal digits as
// its name. Nothing is evicted: have the bucket's own rules delete what is old, at any time.
type Cache struct{ bucket *blob.Bucket }

var _ wasmer.Cache = (*Cache)(nil)

// New makes a cache of a bucket, which the caller closes when no engine uses it any more. Names in the bucket can be given a
// prefix by blob.PrefixedBucket.
func New(bucket *blob.Bucket) *Cache { return &Cache{bucket} }

// Get reads an entry. It fails with wasmer.ErrNotFound if there is none, or one that another machine is just writing, else with
// the bucket's error.
func (c *Cache) Get(ctx context.Context, key wasmer.CacheKey) ([]byte, error) {
	entry, err := c.bucket.ReadAll(ctx, key.String())
	if gcerrors.Code(err) == gcerrors.NotFound || halfWritten(err) {
		return nil, fmt.Errorf("%w: cache entry %v", wasmer.ErrNotFound, key)
	}
	return entry, err
}

// halfWritten tells whether an entry ended before it should: fileblob writes a blob's attributes in place, next to a blob that is
// seen already, so whoever reads in between finds them empty, and for ever if the writer was killed there. To write the entry
// again mends that.
func halfWritten(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Put writes an entry: drivers show all of it, or nothing.
func (c *Cache) Put(ctx context.Context, key wasmer.CacheKey, entry []byte) error {
	return c.bucket.WriteAll(ctx, key.String(), entry, &blob.WriterOptions{ContentType: "application/octet-stream"})
}
