"""Operations on many keys: several at a time, with lookups that neighbouring keys share."""
