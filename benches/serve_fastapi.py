"""The peer: FastAPI serving a scikit-learn style LightGBM model, as most people write it."""

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(os.environ["BENCH_MODEL"])
app = FastAPI()


class Row(BaseModel):
    features: list[float]


@app.post("/predict")
def predict(row: Row):
    probability = model.predict_proba(np.array([row.features]))[0]
    return {"prediction": int(probability.argmax()), "probability": float(probability.max())}
